// @ts-check
// A conversation on the screen.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from './vendor.js';
import { get, me, path } from './api.js';
import { Conversation, keyOf } from './conversation.js';
import { dayHeading, dayOf, t } from './i18n.js';
import { listen } from './live.js';
import { Bubble } from './message.js';
import { Avatar, Failure, Icon, Loading, nameOf, numberOf, Sentinel } from './ui.js';

/** The distance to the end, in pixels, within which somebody counts as reading the newest messages. */
const NEAR = 80;

/** A message that is drawn again only when it changes, so that a new one costs as little in a long conversation.
 * @this {any} @param {{message: any, marked: boolean, withAuthor: boolean, find: (id: string) => any, jump: (id: string) => void}} props */
function Row(props) {
  this.shouldComponentUpdate = (/** @type {any} */ next) => ['message', 'marked', 'withAuthor', 'find', 'jump'].some((name) => next[name] !== this.props[name]);
  return html`<${Bubble} ...${props} />`;
}

/** @param {{instance: string, chat: string, message?: string}} props */
export function ConversationView({ instance, chat, message }) {
  const conversation = useMemo(() => new Conversation(instance, chat), [instance, chat]);
  const [info, setInfo] = useState(/** @type {any} */ (null));
  const [marked, setMarked] = useState(/** @type {string|null} */ (null));
  const [lost, setLost] = useState(false);
  const scroller = useRef(/** @type {HTMLElement|null} */ (null));
  /** What the next drawing does to the place: an element and its distance to the top, 'end', or the id of a message. */
  const place = useRef(/** @type {any} */ ('end'));
  const [news, setNews] = useState('');
  const find = useMemo(() => (/** @type {string} */ id) => conversation.find(id), [conversation]);
  const latestJump = useRef(async (/** @type {string} */ _) => {});
  const toMessage = useMemo(() => (/** @type {string} */ id) => latestJump.current(id), []);

  useEffect(() => {
    get(`/chats${path(instance, chat)}`).then(setInfo, () => setInfo({ name: null, contact: null, chat_id: chat, kind: 'other' }));
    const end = listen((item) => {
      keep();
      conversation.hear(item);
    });
    return () => {
      end();
      conversation.close();
    };
  }, [conversation]);

  useEffect(() => {
    if (message) jump(message);
    else {
      place.current = 'end';
      conversation.loadEnd();
    }
  }, [conversation, message]);

  /** Remembers which message is at the top of what is seen, so that it stays there. */
  const keep = () => {
    const box = scroller.current;
    if (!box || !conversation.ready.value) return;
    if (conversation.atEnd && box.scrollHeight - box.scrollTop - box.clientHeight < NEAR && !document.hidden) {
      place.current = 'end';
      conversation.following = true;
      return;
    }
    conversation.following = false;
    const top = box.getBoundingClientRect().top;
    for (const element of box.querySelectorAll('[data-key]')) {
      const rectangle = element.getBoundingClientRect();
      if (rectangle.bottom > top) {
        place.current = { key: element.getAttribute('data-key'), top: rectangle.top };
        return;
      }
    }
  };

  const version = conversation.version.value;
  useLayoutEffect(() => {
    const box = scroller.current;
    if (!box || !conversation.ready.value) return;
    const at = place.current;
    if (at === 'end') {
      conversation.following = true;
      box.scrollTop = box.scrollHeight;
      if (conversation.unseen.value) {
        setNews(t('new', { n: conversation.unseen.value }));
        conversation.see();
        conversation.trim();
      }
    } else if (typeof at === 'string') {
      const element = document.getElementById(`m-${at}`);
      element?.scrollIntoView({ block: 'center' });
      element?.focus({ preventScroll: true });
      keep();
    } else if (at) {
      const element = box.querySelector(`[data-key="${CSS.escape(at.key)}"]`);
      if (element) box.scrollTop += element.getBoundingClientRect().top - at.top;
    }
  }, [version, conversation]);

  /** @param {string} id */
  const jump = async (id) => {
    place.current = id;
    setMarked(id);
    setLost(!(await conversation.loadMessage(id)));
    if (!conversation.pages.length) await conversation.loadEnd();
    place.current = id;
    conversation.version.value++;
  };
  /** @param {'older'|'newer'} side */
  const extend = (side) => async () => {
    keep();
    if (place.current === 'end' && side === 'older') place.current = null;
    await conversation.extend(side);
  };
  /** @param {string} day */
  const toDay = async (day) => {
    if (!day) return;
    const found = await get(`/chats${path(instance, chat)}/messages`, { since: day, order: 'asc', limit: 1 });
    const first = found.data[0];
    if (first) await jump(first.id);
    else await toEnd();
  };
  const toEnd = async () => {
    place.current = 'end';
    setMarked(null);
    if (conversation.atEnd) conversation.version.value++;
    else await conversation.loadEnd();
  };

  const messages = conversation.messages;
  const unseen = conversation.unseen.value;
  const name = info ? nameOf(info) : '…';
  const isGroup = info?.kind === 'group';
  /** @type {{day: string, messages: any[]}[]} */
  const days = [];
  for (const it of messages) {
    const day = dayOf(it.occurred_at);
    if (days[days.length - 1]?.day !== day) days.push({ day, messages: [] });
    days[days.length - 1].messages.push(it);
  }
  latestJump.current = jump;
  const row = (/** @type {any} */ it) => html`<li class="row" data-key=${keyOf(it)} key=${keyOf(it)}><${Row} message=${it} marked=${marked === it.id} withAuthor=${isGroup} find=${find} jump=${toMessage} /></li>`;
  return html`<section class="conversation" aria-label=${name}>
    <header class="head">
      <a class="button back" href="#/" aria-label=${t('back')}><${Icon} name="back" /></a>
      <${Avatar} name=${name} kind=${info?.kind} />
      <div class="grow"><h1 tabindex="-1"><bdi>${name}</bdi></h1><small><bdi>${info ? [info.name ? numberOf(info) : '', t(`kind.${info.kind}`)].filter(Boolean).join(' · ') : ''}</bdi></small></div>
      <a class="button" href=${`#/gallery/${encodeURIComponent(instance)}/${encodeURIComponent(chat)}`} aria-label=${t('gallery')} title=${t('gallery')}><${Icon} name="gallery" /></a>
      ${me.value && me.value.can_export && html`<a class="button export" href=${`#/exports/${encodeURIComponent(instance)}/${encodeURIComponent(chat)}`} aria-label=${t('exports')} title=${t('exports')}><${Icon} name="exports" /></a>`}
      <label class="button" title=${t('date.jump')}><${Icon} name="calendar" /><span class="hidden">${t('date.jump')}</span>
        <input type="date" max=${dayOf(new Date())} onChange=${(/** @type {any} */ event) => toDay(event.target.value)} /></label>
    </header>
    ${lost && html`<p class="notice" role="status">${t('message.unknown')}</p>`}
    ${conversation.failure.value ? html`<${Failure} error=${conversation.failure.value} retry=${toEnd} />` : !conversation.ready.value ? html`<${Loading} />` : html`
    <div class="messages" role="group" ref=${scroller} tabindex="0" aria-label=${t('messages.of', { name })}>
      ${conversation.atBeginning ? html`<p class="edge">${messages.length ? t('messages.beginning') : t('messages.none')}</p>` : html`<${Sentinel} key=${`older ${messages[0]?.id}`} more=${extend('older')} />`}
      ${days.map(({ day, messages: its }) => html`<section class="daily" key=${day}><h2 class="day"><span>${dayHeading(its[0].occurred_at)}</span></h2><ul>${its.map(row)}</ul></section>`)}
      ${!conversation.atEnd && html`<${Sentinel} key=${`newer ${messages[messages.length - 1]?.id}`} more=${extend('newer')} />`}
    </div>
    ${(unseen > 0 || !conversation.atEnd) && html`<button class="pill" onClick=${toEnd}>↓ ${unseen > 0 ? t('new', { n: unseen }) : t('newest')}</button>`}`}
    <p class="hidden" aria-live="polite">${news}</p>
    <p class="readonly">${t('readonly')}</p>
  </section>`;
}

