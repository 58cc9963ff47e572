// @ts-check
// The API, and what the page knows of its session.
import { signal } from './vendor.js';

/** @typedef {{instances: string[]|null, is_owner: boolean, can_export: boolean, version: string, build: string, time_zone: string, webhook_url: string}} Me */

/** The caller; null before the first answer, false when nobody is logged in. */
export const me = signal(/** @type {Me|null|false} */ (null));
/** True while requests do not reach the server. */
export const offline = signal(false);
/** True if the server has another build of the page than this one. */
export const stale = signal(false);

const BUILD = document.getElementById('app')?.dataset.build;

export class ApiError extends Error {
  /** @param {number} status @param {string} code @param {string} detail */
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

/**
 * @param {string} method @param {string} path @param {Record<string, unknown>} [query]
 * @param {{body?: unknown, signal?: AbortSignal}} [more]
 */
async function send(method, path, query = {}, more = {}) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') parameters.set(name, String(value));
  }
  const search = parameters.size ? `?${parameters}` : '';
  let response;
  try {
    response = await fetch(`/api/v1${path}${search}`, {
      method,
      signal: more.signal,
      credentials: 'same-origin',
      headers: more.body ? { 'Content-Type': 'application/json' } : {},
      body: more.body ? JSON.stringify(more.body) : undefined,
    });
  } catch (error) {
    if (!(error instanceof DOMException && error.name === 'AbortError')) offline.value = true;
    throw error;
  }
  offline.value = false;
  const text = await response.text();
  let json = null;
  try {
    json = text ? JSON.parse(text) : null;
  } catch {
    // A proxy answered in place of buzon.
  }
  if (response.ok) return json;
  if (response.status === 401 && method === 'GET') me.value = false;
  throw new ApiError(response.status, json?.code ?? 'unknown', json?.detail ?? response.statusText);
}

/** @param {string} path @param {Record<string, unknown>} [query] @param {AbortSignal} [signal] */
export const get = (path, query, signal) => send('GET', path, query, { signal });

/** Asks for work that takes a while. @param {string} path @param {unknown} body */
export const order = (path, body) => send('POST', path, {}, { body });

/** Joins the parts of a path: ids may hold any character. @param {...string} parts */
export const path = (...parts) => parts.map((part) => `/${encodeURIComponent(part)}`).join('');

/** Asks who is logged in, and whether this page is still the server's. */
export async function checkSession() {
  try {
    const found = /** @type {Me} */ (await get('/session'));
    if (JSON.stringify(found) !== JSON.stringify(me.value)) me.value = found;
    stale.value = found.build !== BUILD;
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) me.value = false;
    return false;
  }
}

/** @param {{token: string}|{code: string}} proof */
export async function logIn(proof) {
  me.value = await send('POST', '/session', {}, { body: proof });
}

export async function logOut() {
  await send('DELETE', '/session');
  location.hash = '';
  location.reload();
}
