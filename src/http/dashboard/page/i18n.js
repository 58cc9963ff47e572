// @ts-check
// The language of the page, and dates and numbers in it. Times are in the time zone of buzon, never in the browser's.
import { computed, signal } from './vendor.js';
import { me } from './api.js';
import { en, es, pt } from './texts.js';

const LANGUAGES = /** @type {Record<string, Record<string, string>>} */ ({ es, en, pt });
export const NAMES = { es: 'Español', en: 'English', pt: 'Português' };

/** @param {string} key */
const stored = (key) => {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
};
/** @param {string} key @param {string} value */
const store = (key, value) => {
  try {
    localStorage.setItem(key, value);
  } catch {
    // A private window keeps nothing.
  }
};

function chosen() {
  const wished = [stored('language'), ...navigator.languages].map((it) => (it ?? '').slice(0, 2).toLowerCase());
  return wished.find((it) => it in LANGUAGES) ?? 'es';
}

export const language = signal(chosen());
export const theme = signal(stored('theme') ?? 'auto');
export const shortcuts = signal(stored('shortcuts') !== 'off');

/** @param {string} value */
export function setLanguage(value) {
  language.value = value;
  store('language', value);
}
/** @param {string} value */
export function setTheme(value) {
  theme.value = value;
  store('theme', value);
}
/** @param {boolean} value */
export function setShortcuts(value) {
  shortcuts.value = value;
  store('shortcuts', value ? 'on' : 'off');
}

/** Returns a text in the language of the page. `{name}` in it is replaced; of `one|many`, `n` chooses.
 * @param {string} key @param {Record<string, string|number>} [values] */
export function t(key, values = {}) {
  let text = LANGUAGES[language.value]?.[key] ?? key;
  if (text.includes('|') && 'n' in values) text = text.split('|')[values.n === 1 ? 0 : 1] ?? text;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === 'number' ? number(value) : String(value ?? '');
  });
}

/** Returns true if there is a text with this key. @param {string} key */
export const has = (key) => key in es;

const zone = computed(() => (me.value ? me.value.time_zone : 'UTC'));

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();
/** @param {string|number|Date} at @param {Intl.DateTimeFormatOptions} options */
export function date(at, options) {
  const key = language.value + zone.value + JSON.stringify(options);
  let format = formats.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat(language.value, { timeZone: zone.value, ...options });
    formats.set(key, format);
  }
  const time = new Date(at);
  return Number.isNaN(time.valueOf()) ? '' : format.format(time);
}

/** @param {number} value @param {Intl.NumberFormatOptions} [options] */
export const number = (value, options) => new Intl.NumberFormat(language.value, options).format(value);

/** Returns the day of a time in the time zone of buzon, as 2027-01-31. @param {string|Date} at */
export function dayOf(at) {
  let days = formats.get(zone.value);
  if (!days) {
    days = new Intl.DateTimeFormat('en-CA', { timeZone: zone.value, dateStyle: 'short' });
    formats.set(zone.value, days);
  }
  return days.format(new Date(at));
}

/** @param {string} at */
export const time = (at) => date(at, { hour: '2-digit', minute: '2-digit' });
/** @param {string} at */
export const full = (at) => date(at, { dateStyle: 'medium', timeStyle: 'short' });

/** Returns the heading of a day. @param {string} at */
export function dayHeading(at) {
  const [day, now] = [dayOf(at), Date.now()];
  if (day === dayOf(new Date(now))) return t('today');
  if (day === dayOf(new Date(now - 86_400_000))) return t('yesterday');
  return date(at, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
}

/** Returns a time as short as a list has room for. @param {string} at */
export function brief(at) {
  if (dayOf(at) === dayOf(new Date())) return time(at);
  const recent = Date.now() - new Date(at).valueOf() < 6 * 86_400_000;
  return recent ? date(at, { weekday: 'short' }) : date(at, { day: 'numeric', month: 'short', year: '2-digit' });
}

/** Returns a length of time in its two largest units. @param {number} seconds */
export function duration(seconds) {
  const units = /** @type {[string, number][]} */ ([['day', 86_400], ['hour', 3600], ['minute', 60]]);
  const parts = [];
  let rest = Math.max(0, seconds);
  for (const [unit, length] of units) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count > 0 && parts.length < 2) parts.push(number(count, { style: 'unit', unit, unitDisplay: 'short' }));
    else if (parts.length) break;
  }
  return parts.join(' ') || number(Math.round(seconds), { style: 'unit', unit: 'second', unitDisplay: 'short' });
}

/** @param {number} bytes */
export function size(bytes) {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'];
  const step = Math.min(3, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  return number(bytes / 1000 ** step, { style: 'unit', unit: units[step], unitDisplay: 'short', maximumFractionDigits: 1 });
}
