// @ts-check
// The list of conversations, and the one of those who wait.
import { html, signal, useEffect, useRef, useState } from './vendor.js';
import { get, me } from './api.js';
import { brief, duration, full, t } from './i18n.js';
import { listen } from './live.js';
import { summary } from './message.js';
import { Avatar, chatLink, Empty, Failure, Head, Loading, nameOf, numberOf, Sentinel, useAsked, usePages } from './ui.js';

const KINDS = ['', 'person', 'group', 'status', 'broadcast,channel,other'];
/** The filters stay when somebody returns to the list. */
const filter = signal({ q: '', kind: '', instance_id: '', unanswered: false });

/** The instances, which many views let choose from. */
export const instances = signal(/** @type {any[]} */ ([]));
export async function loadInstances() {
  const found = await get('/instances');
  instances.value = found.data;
  return found.data;
}

/** @param {string} id */
export const instanceName = (id) => instances.value.find((it) => it.instance_id === id)?.name ?? id;

/** @param {{value: string, change: (id: string) => void}} props */
export function InstanceChoice({ value, change }) {
  if (instances.value.length < 2) return null;
  return html`<select aria-label=${t('instance')} value=${value} onChange=${(/** @type {any} */ event) => change(event.target.value)}>
    <option value="">${t('instance.all')}</option>
    ${instances.value.map((it) => html`<option value=${it.instance_id}>${it.name ?? it.instance_id}</option>`)}
  </select>`;
}

/** @param {{chat: any, current: boolean}} props */
function Row({ chat, current }) {
  const last = chat.last_message;
  const many = instances.value.length > 1;
  const author = last && !last.is_service && (last.from_me ? `${t('you')}: ` : chat.kind === 'group' && last.sender_name ? `${last.sender_name}: ` : '');
  return html`<li><a class="chat" href=${chatLink(chat.instance_id, chat.chat_id)} aria-current=${current ? 'page' : undefined}>
    <${Avatar} name=${nameOf(chat)} kind=${chat.kind} />
    <span class="grow">
      <span class="line"><b><bdi>${nameOf(chat)}</bdi></b>${chat.last_message_at && html`<time datetime=${chat.last_message_at} title=${full(chat.last_message_at)}>${brief(chat.last_message_at)}</time>`}</span>
      <span class="line"><span class="preview" dir="auto">${author}${summary(last)}</span>
        ${chat.unanswered_since && html`<span class="badge" title=${t('waiting.since', { time: full(chat.unanswered_since) })}><span aria-hidden="true">${t('waiting.short')}</span><span class="hidden">${t('waiting.one')}</span></span>`}</span>
      ${many && html`<small class="tag"><bdi>${instanceName(chat.instance_id)}</bdi></small>`}
    </span>
  </a></li>`;
}

/** @param {{current?: string}} props */
export function Inbox({ current }) {
  const { q, kind, instance_id, unanswered } = filter.value;
  const [text, setText] = useState(q);
  const set = (/** @type {object} */ change) => (filter.value = { ...filter.value, ...change });
  useEffect(() => {
    const timer = setTimeout(() => text.trim() !== filter.value.q && set({ q: text.trim() }), 250);
    return () => clearTimeout(timer);
  }, [text]);
  const query = { q, kind, instance_id, unanswered: unanswered || undefined, limit: 40 };
  const list = usePages((cursor, signal) => get('/chats', { ...query, cursor }, signal), [q, kind, instance_id, unanswered]);
  const fresh = useFresh(query);
  const items = merged(fresh, list.items, unanswered);
  return html`<section class="list" aria-label=${t('inbox')}>
    <${Head} title=${t('inbox')} />
    <div class="filters">
      <input type="search" id="find" placeholder=${t('inbox.find')} aria-label=${t('inbox.find')} value=${text} onInput=${(/** @type {any} */ event) => setText(event.target.value)} />
      <div class="chips" role="group" aria-label=${t('filters')}>
        <button class="chip" aria-pressed=${unanswered} onClick=${() => set({ unanswered: !unanswered })}>${t('filter.waiting')}</button>
        ${KINDS.map((it) => html`<button class="chip" aria-pressed=${kind === it} onClick=${() => set({ kind: it })}>${t(`filter.${it || 'all'}`)}</button>`)}
      </div>
      <${InstanceChoice} value=${instance_id} change=${(/** @type {string} */ id) => set({ instance_id: id })} />
    </div>
    ${list.error && !items.length ? html`<${Failure} error=${list.error} retry=${list.again} />` : !list.ready ? html`<${Loading} />` : !items.length ? html`<${NoChats} filtered=${!!(q || kind || instance_id || unanswered)} />` : html`
    <ul class="chats">${items.map((chat) => html`<${Row} key=${`${chat.instance_id} ${chat.chat_id}`} chat=${chat} current=${current === `${chat.instance_id}/${chat.chat_id}`} />`)}
      ${list.next && html`<li><${Sentinel} key=${list.next} more=${list.more} /></li>`}</ul>`}
  </section>`;
}

/** Asks for the first page again while things happen. @param {Record<string, unknown>} query */
function useFresh(query) {
  const [fresh, setFresh] = useState(/** @type {any[]} */ ([]));
  const key = JSON.stringify(query);
  const latest = useRef(key);
  latest.current = key;
  useEffect(() => {
    setFresh([]);
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    let timer;
    const end = listen(() => {
      timer ??= setTimeout(async () => {
        timer = undefined;
        try {
          const { data } = await get('/chats', query);
          if (latest.current === key) setFresh(data);
        } catch {
          // The next item of the feed asks again.
        }
      }, 700);
    });
    return () => {
      clearTimeout(timer);
      end();
    };
  }, [key]);
  return fresh;
}

/** Puts what was asked for last in front, in its order. @param {any[]} fresh @param {any[]} items @param {boolean} unanswered */
function merged(fresh, items, unanswered) {
  if (!fresh.length) return items;
  const known = new Set(fresh.map((it) => `${it.instance_id} ${it.chat_id}`));
  const rest = items.filter((it) => !known.has(`${it.instance_id} ${it.chat_id}`));
  if (unanswered) return [...fresh, ...rest.slice(Math.max(0, 40 - fresh.length))];
  return [...fresh, ...rest];
}

/** @param {{filtered: boolean}} props */
function NoChats({ filtered }) {
  if (filtered) return html`<${Empty} title=${t('none.found')} text=${t('none.foundText')} />`;
  const known = me.value || null;
  const url = known?.webhook_url ?? '';
  return html`<${Empty} title=${t('none.yet')} text=${t('none.yetText')}>
    ${known?.is_owner && html`<ol class="steps">
      <li>${t('none.url')}<code>${url}</code></li>
      <li>${t('none.register')}<code>buzon gateway register</code></li>
      <li>${t('none.test')}</li>
    </ol>`}
  <//>`;
}

export function Waiting() {
  const [instance, setInstance] = useState('');
  const asked = useAsked((signal) => get('/chats', { unanswered: true, order: 'asc', limit: 200, instance_id: instance }, signal), [instance], 1500);
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((it) => it + 1), 30_000);
    return () => clearInterval(timer);
  }, []);
  const chats = asked.value?.data ?? [];
  const now = Date.now();
  return html`<section class="page" aria-label=${t('waiting')}>
    <${Head} title=${t('waiting')}><${InstanceChoice} value=${instance} change=${setInstance} /><//>
    <div class="scroll" tabindex="0">
    ${asked.error && !asked.value ? html`<${Failure} error=${asked.error} retry=${asked.again} />` : !asked.value ? html`<${Loading} />` : !chats.length ? html`<${Empty} title=${t('waiting.none')} text=${t('waiting.noneText')} />` : html`
    <p class="hint">${t('waiting.count', { n: chats.length })}${asked.value.next_cursor ? '+' : ''}. ${t('waiting.order')}</p>
    <ul class="chats">${chats.map((/** @type {any} */ chat) => {
      const seconds = (now - new Date(chat.unanswered_since).valueOf()) / 1000;
      return html`<li key=${`${chat.instance_id} ${chat.chat_id}`}><a class="chat" href=${chatLink(chat.instance_id, chat.chat_id)}>
        <${Avatar} name=${nameOf(chat)} kind=${chat.kind} />
        <span class="grow"><span class="line"><b><bdi>${nameOf(chat)}</bdi></b><b class=${`wait ${seconds > 86_400 ? 'long' : seconds > 3600 ? 'some' : ''}`}>${duration(seconds)}</b></span>
          <span class="line"><span class="preview" dir="auto">${summary(chat.last_message)}</span></span>
          <small class="tag"><bdi>${chat.name ? numberOf(chat) : ''}</bdi> ${t('waiting.since', { time: full(chat.unanswered_since) })}</small></span></a></li>`;
    })}</ul>`}
    </div>
  </section>`;
}
