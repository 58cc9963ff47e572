// @ts-check
// Small parts that several views share.
import { html, useEffect, useRef, useState } from './vendor.js';
import { ApiError, offline } from './api.js';
import { has, t } from './i18n.js';
import { listen } from './live.js';

const SHAPES = /** @type {Record<string, string>} */ ({
  inbox: 'M4 5h16v11H9l-5 4z',
  waiting: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zm0 4v5l4 2',
  search: 'M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM20 20l-5-5',
  gallery: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9h.01',
  numbers: 'M5 20V11M12 20V4M19 20v-6',
  health: 'M3 12h4l3-8 4 16 3-8h4',
  more: 'M12 5h.01M12 12h.01M12 19h.01',
  back: 'M15 5l-7 7 7 7',
  down: 'M12 5v13M6 13l6 6 6-6',
  calendar: 'M4 6h16v14H4zM4 10h16M8 3v4M16 3v4',
  file: 'M6 3h8l4 4v14H6zM14 3v4h4',
  place: 'M12 21s7-6.5 7-11.5A7 7 0 0 0 5 9.500C5 14.500 12 21 12 21zM12 10h.01',
  person: 'M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4 21c0-4 4-6 8-6s8 2 8 6',
  group: 'M9 5a3.500 3.500 0 1 0 0 7 3.500 3.500 0 0 0 0-7zM2.500 20c0-3.500 3-5 6.500-5s6.500 1.500 6.500 5M16 5.500a3.500 3.500 0 0 1 0 6.500M18 15.500c2 .6 3.500 2 3.500 4.500',
  audio: 'M12 4a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V7a3 3 0 0 0-3-3zM6 11a6 6 0 0 0 12 0M12 17v4',
  picture: 'M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4',
  exports: 'M12 4v11M7 10l5 5 5-5M4 20h16',
  close: 'M6 6l12 12M18 6L6 18',
});

/** @param {{name: string}} props */
export const Icon = ({ name }) => html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${SHAPES[name]} /></svg>`;

/** @param {any} error */
export function explain(error) {
  if (!(error instanceof ApiError)) return t('error.offline');
  return has(`error.${error.code}`) ? t(`error.${error.code}`) : error.message;
}

/** @param {{error: unknown, retry?: () => void}} props */
export const Failure = ({ error, retry }) => html`<div class="empty" role="alert">
  <p>${explain(error)}</p>
  ${retry && html`<button onClick=${retry}>${t('retry')}</button>`}
</div>`;

export const Loading = () => html`<p class="loading" role="status"><span class="dots" aria-hidden="true"></span>${t('loading')}</p>`;

/** @param {{title: string, text?: string, children?: unknown}} props */
export const Empty = ({ title, text, children }) => html`<div class="empty"><h2>${title}</h2>${text && html`<p>${text}</p>`}${children}</div>`;

/** The head of a view. @param {{title: string, children?: unknown}} props */
export const Head = ({ title, children }) => html`<header class="head"><h1 tabindex="-1">${title}</h1>${children}</header>`;

/** Asks for something again whenever `inputs` change or the feed says that something happened.
 * @template T @param {(signal: AbortSignal) => Promise<T>} ask @param {unknown[]} inputs @param {number} [every]
 * the shortest time between two questions that the feed causes, in ms; 0 for none */
export function useAsked(ask, inputs, every = 0) {
  const [state, setState] = useState(/** @type {{value?: T, error?: unknown}} */ ({}));
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    ask(stop.signal).then(
      (value) => setState({ value }),
      (error) => !stop.signal.aborted && setState((old) => ({ value: old.value, error })),
    );
    return () => stop.abort();
  }, [...inputs, turn]);
  useEffect(() => {
    if (!every) return;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    let timer;
    const end = listen(() => {
      timer ??= setTimeout(() => {
        timer = undefined;
        setTurn((it) => it + 1);
      }, every);
    });
    return () => {
      clearTimeout(timer);
      end();
    };
  }, [every]);
  return { ...state, again: () => setTurn((it) => it + 1) };
}

/** Calls `more` when the element comes near what is seen. @param {{more: () => void}} props */
export function Sentinel({ more }) {
  const element = useRef(/** @type {HTMLElement|null} */ (null));
  const latest = useRef(more);
  latest.current = more;
  useEffect(() => {
    const watcher = new IntersectionObserver((seen) => seen.some((it) => it.isIntersecting) && latest.current(), { rootMargin: '600px' });
    if (element.current) watcher.observe(element.current);
    return () => watcher.disconnect();
  }, []);
  return html`<div class="sentinel" ref=${element}></div>`;
}

/** A list that grows at its end. @template T @param {(cursor: string|undefined, signal: AbortSignal) => Promise<{data: T[], next_cursor: string|null}>} ask
 * @param {unknown[]} inputs */
export function usePages(ask, inputs) {
  const [state, setState] = useState(/** @type {{items: T[], next: string|null, error?: unknown, ready: boolean}} */ ({ items: [], next: null, ready: false }));
  const busy = useRef(false);
  const stop = useRef(new AbortController());
  /** @param {string|undefined} cursor */
  const load = async (cursor) => {
    const { signal } = stop.current;
    busy.current = true;
    try {
      let page = await ask(cursor, signal);
      // A search answers in time, and may have found nothing until then.
      while (!signal.aborted && !page.data.length && page.next_cursor) page = await ask(page.next_cursor, signal);
      if (signal.aborted) return;
      setState((old) => ({ items: cursor ? [...old.items, ...page.data] : page.data, next: page.next_cursor, ready: true }));
    } catch (error) {
      if (!signal.aborted) setState((old) => ({ ...old, ready: true, error }));
    }
    busy.current = false;
  };
  useEffect(() => {
    stop.current.abort();
    stop.current = new AbortController();
    setState({ items: [], next: null, ready: false });
    load(undefined);
    return () => stop.current.abort();
  }, inputs);
  return { ...state, more: () => !busy.current && !offline.value && state.next && load(state.next), again: () => load(undefined) };
}

/** A letter and a colour for somebody without a picture. @param {{name: string, kind?: string}} props */
export function Avatar({ name, kind }) {
  let hash = 0;
  for (const c of name) hash = (hash * 31 + (c.codePointAt(0) ?? 0)) >>> 0;
  const letter = /\p{L}/u.exec(name)?.[0]?.toUpperCase();
  return html`<span class=${`avatar hue${hash % 6}`} aria-hidden="true">${kind === 'group' ? html`<${Icon} name="group" />` : letter ?? html`<${Icon} name="person" />`}</span>`;
}

/** @param {{contact: string|null, chat_id: string}} chat */
export const numberOf = (chat) => (chat.contact ? `+${chat.contact}` : chat.chat_id);
/** @param {{name: string|null, contact: string|null, chat_id: string}} chat */
export const nameOf = (chat) => chat.name ?? numberOf(chat);

/** @param {string} instance @param {string} chat @param {string} [message] */
export const chatLink = (instance, chat, message) =>
  `#/chat/${encodeURIComponent(instance)}/${encodeURIComponent(chat)}${message ? `/${encodeURIComponent(message)}` : ''}`;
