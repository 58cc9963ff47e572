// @ts-check
// The live feed. All tabs of a browser share one stream: the tab that holds a lock reads it and tells the others.
import { checkSession, get, me, offline } from './api.js';

/** @typedef {{kind: string, id?: string, instance_id: string, event_type?: string, chat_id?: string|null, message_id?: string, state: string, changes: {instance_id: string, message_id: string}[]}} Item */

const RETRY = 2000;
/** @type {Set<(item: Item|null) => void>} */
const listeners = new Set();
const channel = 'BroadcastChannel' in window ? new BroadcastChannel('buzon') : null;
/** The position after the latest item that this tab has seen. */
let after = '';
let begun = false;

/** Calls `listener` with each item, and with null if anything may have changed. Returns the way to end that.
 * @param {(item: Item|null) => void} listener */
export function listen(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** @param {Item|null} item */
function tell(item) {
  for (const listener of listeners) listener(item);
}

export function begin() {
  if (begun) return;
  begun = true;
  if (channel) {
    channel.onmessage = ({ data }) => {
      if (data.id) after = data.id;
      if (data.offline !== undefined) offline.value = data.offline;
      if (data.item !== undefined) tell(data.item);
    };
  }
  const lead = () => new Promise(() => follow());
  if (navigator.locks) navigator.locks.request('buzon-stream', lead);
  else lead();
  addEventListener('online', () => checkSession());
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) checkSession();
  });
}

/** @param {{id?: string, item?: Item|null, offline?: boolean}} news */
function share(news) {
  if (news.id) after = news.id;
  if (news.offline !== undefined) offline.value = news.offline;
  if (news.item !== undefined) tell(news.item);
  channel?.postMessage(news);
}

/** Reads the stream, and reads it again from the last position whenever it ends. */
function follow() {
  const stream = new EventSource(`/api/v1/stream${after ? `?after=${encodeURIComponent(after)}` : ''}`);
  /** @param {MessageEvent} event */
  const seen = (event) => share({ id: event.lastEventId, item: JSON.parse(event.data) });
  stream.addEventListener('event', seen);
  stream.addEventListener('media', seen);
  stream.addEventListener('chat', seen);
  let fresh = after === '';
  stream.onopen = () => {
    share({ offline: false });
    // Without a position, the stream begins now: whatever happened before is read from the lists again.
    if (fresh) share({ item: null });
    fresh = false;
    checkSession();
  };
  stream.onerror = () => {
    stream.close();
    setTimeout(again, RETRY);
  };
}

async function again() {
  if (await checkSession()) {
    if (after) {
      try {
        await get('/events', { limit: 1, after });
      } catch (error) {
        // The database was restored: positions of its former history lead nowhere.
        if (/** @type {any} */ (error).code === 'position_of_another_history') after = '';
      }
    }
  } else if (me.value === false) {
    // Nobody is logged in any more: it goes on with the next login.
    const end = me.subscribe((found) => {
      if (!found) return;
      queueMicrotask(() => end());
      follow();
    });
    return;
  } else {
    share({ offline: true });
  }
  follow();
}
