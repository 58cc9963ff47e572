// @ts-check
// Logging in: with a token, once, or with the link of `buzon login`.
import { html, useState } from './vendor.js';
import { logIn } from './api.js';
import { language, NAMES, setLanguage, t } from './i18n.js';
import { explain } from './ui.js';

/** Takes the one-time code out of the address, so that neither the history nor a bookmark keeps it. */
function takeCode() {
  const found = /^#login=([\w.-]+)$/.exec(location.hash);
  if (!found) return null;
  history.replaceState(null, '', location.pathname);
  return found[1];
}

const code = takeCode();

export function Login() {
  const [withCode, setWithCode] = useState(code !== null);
  const [token, setToken] = useState('');
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [busy, setBusy] = useState(false);
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await logIn(withCode && code ? { code } : { token: token.trim() });
    } catch (failure) {
      setError(failure);
      setWithCode(false);
    }
    setBusy(false);
  };
  // A page over plain HTTP cannot keep a session, except on the machine of buzon.
  const plain = !isSecureContext;
  return html`<main class="login"><form class="card" onSubmit=${submit}>
    <p class="logo" aria-hidden="true">buzon</p>
    <h1>${t('login')}</h1>
    ${plain ? html`<div role="alert"><p>${t('error.login_needs_tls')}</p><p>${t('login.plain')}</p></div>` : html`
    <p>${withCode ? t('login.byLink') : t('login.text')}</p>
    ${!withCode && html`<label>${t('login.token')}<input type="password" name="token" autocomplete="current-password" spellcheck="false" autocapitalize="off" required value=${token} onInput=${(/** @type {any} */ event) => setToken(event.target.value)} /></label>`}
    ${error !== null && html`<p class="failed" role="alert">${explain(error)}</p>`}
    <button class="primary" disabled=${busy}>${t('login.enter')}</button>
    ${!withCode && html`<details><summary>${t('login.where')}</summary><p>${t('login.whereText')}</p><code>buzon login</code><p>${t('login.whereFile')}</p><code>cat data/api-token</code></details>`}`}
    <p class="languages">${Object.entries(NAMES).map(([it, name]) => html`<button type="button" class="link" lang=${it} aria-pressed=${language.value === it} onClick=${() => setLanguage(it)}>${name}</button>`)}</p>
  </form></main>`;
}
