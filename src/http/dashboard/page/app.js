// @ts-check
// The page: its views, their addresses, and the keys.
import { effect, html, render, signal, useEffect, useState } from './vendor.js';
import { checkSession, logOut, me, offline, stale } from './api.js';
import { language, NAMES, setLanguage, setShortcuts, setTheme, shortcuts, t, theme } from './i18n.js';
import { Inbox, loadInstances, Waiting } from './inbox.js';
import { begin } from './live.js';
import { Failure, Icon, Loading } from './ui.js';

/** The time after which the scripts of the other views are fetched, in ms. */
const REST_AFTER = 1500;
/** @type {(() => Promise<unknown>)[]} */
const rest = [];

/** Returns a view whose script is not waited for at the start. @param {() => Promise<any>} load */
function later(load) {
  /** @type {any} */
  let View = null;
  const fetched = async () => (View ??= await load());
  rest.push(fetched);
  return function Later(/** @type {any} */ props) {
    const [, setDrawn] = useState(false);
    const [error, setError] = useState(/** @type {unknown} */ (null));
    // The script may come between the first drawing and the effect.
    const isMissing = !View;
    useEffect(() => {
      if (isMissing) fetched().then(() => setDrawn(true), setError);
    }, []);
    if (View) return html`<${View} ...${props} />`;
    return error ? html`<${Failure} error=${error} retry=${() => location.reload()} />` : html`<${Loading} />`;
  };
}
const ConversationView = later(async () => (await import('./conversation-view.js')).ConversationView);
const Exports = later(async () => (await import('./exports.js')).Exports);
const Gallery = later(async () => (await import('./gallery.js')).Gallery);
const Health = later(async () => (await import('./health.js')).Health);
const Login = later(async () => (await import('./login.js')).Login);
const Numbers = later(async () => (await import('./numbers.js')).Numbers);
const Search = later(async () => (await import('./search.js')).Search);

const VIEWS = [['', 'inbox'], ['waiting', 'waiting'], ['search', 'search'], ['gallery', 'gallery'], ['numbers', 'numbers'], ['health', 'health'], ['exports', 'exports']];

/** Reads the address: the name of a view and what it shows. */
function read() {
  const parts = location.hash.replace(/^#\/?/, '').split('/');
  try {
    return parts.map(decodeURIComponent);
  } catch {
    return [''];
  }
}
const route = signal(read());
addEventListener('hashchange', () => {
  route.value = read();
});

effect(() => {
  document.documentElement.lang = language.value;
  document.documentElement.dataset.theme = theme.value;
});

function Settings() {
  const [open, setOpen] = useState(false);
  const [error, setError] = useState(false);
  useEffect(() => {
    if (!open) return;
    const close = (/** @type {any} */ event) => {
      if (event.key === 'Escape' || (event.type === 'click' && !event.target.closest('.settings'))) setOpen(false);
    };
    addEventListener('keydown', close);
    addEventListener('click', close);
    return () => {
      removeEventListener('keydown', close);
      removeEventListener('click', close);
    };
  }, [open]);
  return html`<div class="settings">
    <button class="tab" aria-expanded=${open} onClick=${() => setOpen(!open)}><${Icon} name="more" /><span>${t('settings')}</span></button>
    ${open && html`<div class="menu card" role="group" aria-label=${t('settings')}>
      ${me.value && me.value.can_export && html`<a class="button export" href="#/exports" onClick=${() => setOpen(false)}>${t('exports')}</a>`}
      <label>${t('language')}<select value=${language.value} onChange=${(/** @type {any} */ event) => setLanguage(event.target.value)}>${Object.entries(NAMES).map(([it, name]) => html`<option value=${it} lang=${it}>${name}</option>`)}</select></label>
      <label>${t('theme')}<select value=${theme.value} onChange=${(/** @type {any} */ event) => setTheme(event.target.value)}>${['auto', 'light', 'dark'].map((it) => html`<option value=${it}>${t(`theme.${it}`)}</option>`)}</select></label>
      <label class="check"><input type="checkbox" checked=${shortcuts.value} onChange=${(/** @type {any} */ event) => setShortcuts(event.target.checked)} />${t('shortcuts')}</label>
      <small>${t('shortcuts.text')}</small>
      <button onClick=${() => logOut().catch(() => setError(true))}>${t('logout')}</button>
      ${error && html`<p role="alert">${t('error.offline')}</p>`}
    </div>`}
  </div>`;
}

/** @param {{view: string}} props */
const Nav = ({ view }) => html`<nav class="nav" aria-label=${t('views')}>
  ${VIEWS.filter(([name]) => name !== 'exports' || (me.value && me.value.can_export)).map(([name, key]) => html`<a class=${`tab ${key}`} href=${`#/${name}`} aria-current=${view === name || (name === '' && view === 'chat') ? 'page' : undefined}><${Icon} name=${key} /><span>${t(`tab.${key}`)}</span></a>`)}
  <${Settings} />
</nav>`;

function App() {
  const [view, ...parts] = route.value;
  useEffect(() => {
    if (me.value) {
      loadInstances().catch(() => {});
      begin();
      setTimeout(() => rest.forEach((fetched) => fetched().catch(() => {})), REST_AFTER);
    }
  }, [!!me.value]);
  useEffect(() => {
    const title = VIEWS.find(([name]) => name === view)?.[1];
    document.title = title ? `${t(title)} – buzon` : 'buzon';
    /** @type {HTMLElement|null} */ (document.querySelector('main h1'))?.focus({ preventScroll: true });
  }, [route.value.join('/'), language.value]);
  if (me.value === null) return html`<main class="boot">${offline.value ? html`<p role="alert">${t('error.offline')}</p><button onClick=${checkSession}>${t('retry')}</button>` : html`<${Loading} />`}</main>`;
  if (me.value === false) return html`<${Login} />`;
  const inChat = view === 'chat';
  return html`<div class=${`frame${inChat ? ' reading' : ''}`}>
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => { event.preventDefault(); /** @type {HTMLElement|null} */ (document.querySelector('main h1'))?.focus(); }}>${t('skip')}</a>
    <${Nav} view=${view} />
    <main id="main">
      <div class="banners" role="status">${offline.value && html`<p class="banner">${t('offline')}</p>`}
        ${stale.value && html`<p class="banner">${t('stale')} <button onClick=${() => location.reload()}>${t('reload')}</button></p>`}</div>
      ${view === '' || inChat ? html`<div class="two"><${Inbox} current=${inChat ? parts.slice(0, 2).join('/') : undefined} />
        ${inChat && parts[1] ? html`<${ConversationView} key=${parts.slice(0, 2).join('/')} instance=${parts[0]} chat=${parts[1]} message=${parts[2]} />` : html`<p class="choose">${t('choose')}</p>`}</div>`
      : view === 'waiting' ? html`<${Waiting} />`
      : view === 'search' ? html`<${Search} />`
      : view === 'gallery' ? html`<${Gallery} key=${parts.join('/')} instance=${parts[0]} chat=${parts[1]} />`
      : view === 'numbers' ? html`<${Numbers} />`
      : view === 'health' ? html`<${Health} />`
      : view === 'exports' && me.value.can_export ? html`<${Exports} key=${parts.join('/')} instance=${parts[0]} chat=${parts[1]} />`
      : html`<p class="choose">${t('error.not_found')}</p>`}
    </main>
  </div>`;
}

/** Moves the focus to the next row of what is shown. @param {number} by */
function move(by) {
  const selector = document.activeElement?.closest('.messages') ? '.bubble' : 'a.chat, a.hit';
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll(selector)].filter((it) => it.checkVisibility?.() ?? true));
  const at = rows.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  rows[Math.min(rows.length - 1, Math.max(0, at + by))]?.focus();
}

addEventListener('keydown', (event) => {
  const typing = event.target instanceof Element && event.target.closest('input, textarea, select, [contenteditable]');
  if (event.key === 'Escape' && !typing && route.value[0] === 'chat') location.hash = '#/';
  if (!shortcuts.value || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === '/') {
    event.preventDefault();
    const field = /** @type {HTMLElement|null} */ (document.querySelector('main input[type=search]'));
    if (field?.checkVisibility?.() ?? field) field?.focus();
    else location.hash = '#/search';
  } else if (event.key === 'j') move(1);
  else if (event.key === 'k') move(-1);
});

const root = document.getElementById('app');
if (root) {
  root.replaceChildren();
  render(html`<${App} />`, root);
}
checkSession();
