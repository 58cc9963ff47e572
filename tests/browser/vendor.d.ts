// The types of src/http/dashboard/page/vendor.js, which is made by scripts/vendor-js.
export { Fragment, h, render } from 'preact';
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
export { batch, computed, effect, signal } from '@preact/signals';
export const html: (strings: TemplateStringsArray, ...values: any[]) => any;
