// @ts-check
// One message.
import { html, useEffect, useState } from './vendor.js';
import { get, path } from './api.js';
import { cards, rich } from './format.js';
import { full, has, number, size, t, time } from './i18n.js';
import { chatLink, Icon } from './ui.js';

/** @typedef {any} Message */

/** @param {string} id */
export const shortId = (id) => {
  const digits = /^(\d+)@(c\.us|s\.whatsapp\.net)$/.exec(id);
  return digits ? `+${digits[1]}` : id.replace(/@.*$/, '');
};

/** Returns the author's name. @param {Message} message */
export const authorOf = (message) => (message.from_me ? t('you') : message.sender_name ?? shortId(message.author ?? ''));

/** Returns a message in a few words. @param {Message|null|undefined} message */
export function summary(message) {
  if (!message) return '';
  if (message.revoked_at && !message.body) return t('message.deleted');
  const text = message.is_service ? serviceText(message) : message.body;
  if (text) return text.slice(0, 200);
  if (message.location) return t('type.location');
  if (message.vcard) return t('type.vcard');
  return typeName(message.type);
}

/** @param {string|null} type */
export const typeName = (type) => (type && has(`type.${type}`) ? t(`type.${type}`) : type ?? t('type.unknown'));

/** @param {Message} message */
function serviceText(message) {
  return message.body || (has(`service.${message.type}`) ? t(`service.${message.type}`) : t('service.other', { type: message.type ?? '?' }));
}

/** The messages that are quoted and not loaded. The oldest are forgotten. @type {Map<string, Promise<Message|null>>} */
const quoted = new Map();
/** @param {string} instance @param {string} id */
function askQuoted(instance, id) {
  const key = `${instance}/${id}`;
  let asked = quoted.get(key);
  if (!asked) {
    asked = get(`/messages${path(instance, id)}`).catch(() => null);
    quoted.set(key, asked);
    const oldest = quoted.keys().next().value;
    if (quoted.size > 200 && oldest) quoted.delete(oldest);
  }
  return asked;
}

/** @param {{message: Message, find: (id: string) => Message|undefined, jump: (id: string) => void}} props */
function Quote({ message, find, jump }) {
  const id = message.quoted_message_id;
  const [found, setFound] = useState(/** @type {Message|null|undefined} */ (find(id)));
  useEffect(() => {
    if (!found) askQuoted(message.instance_id, id).then(setFound);
  }, [id]);
  if (found === null) return html`<p class="quote unknown">${t('quote.unknown')}</p>`;
  return html`<button class="quote" onClick=${() => jump(id)} title=${t('quote.jump')}>
    <b><bdi>${found ? authorOf(found) : '…'}</bdi></b><span dir="auto">${found ? summary(found) : ''}</span>
  </button>`;
}

const canPlayOpus = document.createElement('audio').canPlayType('audio/ogg; codecs=opus') !== '';

/** @param {{message: Message}} props */
function Media({ message }) {
  const [isBroken, setBroken] = useState(false);
  const file = message.media;
  const type = file.content_type ?? '';
  const label = `${typeName(message.type)}, ${full(message.occurred_at)}`;
  if (!file.url) {
    const state = file.state === 'pending' ? 'pending' : 'lost';
    return html`<p class=${`file ${state}`}><${Icon} name="file" /><span><b>${typeName(message.type)}</b>
      <small>${t(`media.${file.state}`)}${file.reason ? html`<bdi>: ${file.reason}</bdi>` : ''}</small></span></p>`;
  }
  if (type.startsWith('image/') && type !== 'image/svg+xml' && !isBroken) {
    return html`<a class=${message.type === 'sticker' ? 'picture sticker' : 'picture'} href=${file.url} target="_blank" rel="noopener">
      <img src=${file.url} alt=${label} loading="lazy" decoding="async" onError=${() => setBroken(true)} /></a>`;
  }
  if (type.startsWith('video/')) return html`<video class="picture" src=${file.url} controls preload="none" aria-label=${label}></video>`;
  if (type.startsWith('audio/') || type === 'application/ogg') {
    if (/ogg|opus/.test(type) && !canPlayOpus) {
      return html`<p class="file"><${Icon} name="audio" /><span>${t('media.noOpus')} <a href=${file.url} download>${t('media.save')}</a></span></p>`;
    }
    return html`<audio src=${file.url} controls preload="none" aria-label=${label}></audio>`;
  }
  return html`<a class="file" href=${file.url} download><${Icon} name="file" /><span><b><bdi>${file.filename ?? typeName(message.type)}</bdi></b>
    <small>${[type.split('/').pop()?.toUpperCase().slice(0, 12), file.size === null ? '' : size(file.size)].filter(Boolean).join(' · ')}</small></span></a>`;
}

/** @param {{message: Message}} props */
function Place({ message }) {
  const { latitude, longitude } = message.location;
  const url = `https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=17/${latitude}/${longitude}`;
  const figure = (/** @type {number} */ value) => number(value, { maximumFractionDigits: 5 });
  return html`<a class="file" href=${url} target="_blank" rel="noopener noreferrer"><${Icon} name="place" />
    <span><b>${t('type.location')}</b><small>${figure(latitude)}; ${figure(longitude)} · ${t('place.open')}</small></span></a>`;
}

/** @param {{message: Message}} props */
const Cards = ({ message }) => cards(message.vcard).map((card) => html`<p class="file"><${Icon} name="person" />
  <span><b><bdi>${card.name || t('type.vcard')}</bdi></b>${card.numbers.map((it) => html`<small><bdi>${it}</bdi></small>`)}</span></p>`);

const TICKS = /** @type {Record<string, string>} */ ({ pending: '🕓', sent: '✓', delivered: '✓✓', read: '✓✓', played: '✓✓', failed: '!' });

/** The times of a message, who reacted, and its text, address and file to take along. A telephone has no pointer that could rest on
 * a mark to learn of these. @param {{message: Message}} props */
function Details({ message }) {
  const [told, setTold] = useState('');
  const copy = (/** @type {string} */ text) => async () => {
    try {
      await navigator.clipboard.writeText(text);
      setTold(t('copy.done'));
    } catch {
      setTold(t('copy.failed'));
    }
  };
  const times = [['ack.sent', message.from_me && message.sent_at], ['details.received', message.received_at], ['ack.delivered', message.delivered_at], ['ack.read', message.read_at]];
  const address = `${location.origin}${location.pathname}${chatLink(message.instance_id, message.chat_id ?? '', message.id)}`;
  return html`<div class="details" role="group" aria-label=${t('details')}>
    <dl>${times.filter(([, at]) => at).map(([key, at]) => html`<dt>${t(key)}</dt><dd><time datetime=${at}>${full(at)}</time></dd>`)}
      ${message.reactions.map((/** @type {any} */ it) => html`<dt><bdi>${it.reaction.slice(0, 16)}</bdi></dt><dd><bdi>${shortId(it.from_number)}</bdi></dd>`)}</dl>
    <p>${message.body && html`<button class="link" onClick=${copy(message.body)}>${t('copy.text')}</button>`}
      <button class="link" onClick=${copy(address)}>${t('copy.link')}</button>
      ${message.media?.url && html`<a href=${message.media.url} download>${t('media.save')}</a>`}
      <span role="status">${told}</span></p>
  </div>`;
}

/** @param {{message: Message}} props */
function Foot({ message }) {
  const [former, setFormer] = useState(/** @type {any[]|null} */ (null));
  const [isOpen, setOpen] = useState(false);
  const show = async () => setFormer(former ? null : (await get(`/messages${path(message.instance_id, message.id)}`)).versions);
  const ack = message.from_me && TICKS[message.ack];
  return html`<div class="foot">
    ${message.edited_at && html`<button class="link" aria-expanded=${!!former} onClick=${show}>${t('message.edited')}</button>`}
    ${message.revoked_at && message.body && html`<span>${t('message.deletedShort')}</span>`}
    <button class="when" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)} title=${`${t('details')}: ${full(message.occurred_at)}`}>
      <time datetime=${message.occurred_at}>${time(message.occurred_at)}</time>
      ${ack && html`<span class=${`ack ${message.ack}`}><span aria-hidden="true">${ack}</span><span class="hidden">${t(`ack.${message.ack}`)}</span></span>`}
      <span aria-hidden="true">⋯</span><span class="hidden">${t('details')}</span></button>
  </div>
  ${isOpen && html`<${Details} message=${message} />`}
  ${former && html`<ol class="former" aria-label=${t('message.former')}>${former.slice(0, 20).map((it) => html`<li><time>${full(it.sent_at ?? it.received_at)}</time> <span dir="auto">${it.body}</span></li>`)}</ol>`}`;
}

/** @param {{message: Message}} props */
function Reactions({ message }) {
  /** @type {Map<string, string[]>} */
  const by = new Map();
  for (const { reaction, from_number } of message.reactions) by.set(reaction, [...(by.get(reaction) ?? []), shortId(from_number)]);
  if (!by.size) return null;
  return html`<ul class="reactions" aria-label=${t('reactions')}>${[...by].map(([reaction, people]) => html`<li title=${people.join('\n')}><bdi>${reaction.slice(0, 16)}</bdi>${people.length > 1 ? ` ${number(people.length)}` : ''}</li>`)}</ul>`;
}

/** @param {{message: Message, marked: boolean, withAuthor: boolean, find: (id: string) => Message|undefined, jump: (id: string) => void}} props */
export function Bubble({ message, marked, withAuthor, find, jump }) {
  if (message.is_service) {
    return html`<p class="service" id=${`m-${message.id}`}><span dir="auto">${serviceText(message)}</span> <time datetime=${message.occurred_at}>${time(message.occurred_at)}</time></p>`;
  }
  const gone = message.revoked_at && !message.body && !message.media;
  return html`<article class=${`bubble ${message.from_me ? 'out' : 'in'}${marked ? ' marked' : ''}${message.revoked_at ? ' gone' : ''}`} id=${`m-${message.id}`} tabindex="-1"
      aria-label=${`${authorOf(message)}, ${time(message.occurred_at)}`}>
    ${withAuthor && !message.from_me && html`<b class="author"><bdi>${authorOf(message)}</bdi></b>`}
    ${message.quoted_message_id && html`<${Quote} key=${message.quoted_message_id} message=${message} find=${find} jump=${jump} />`}
    ${message.media && html`<${Media} message=${message} />`}
    ${message.location && html`<${Place} message=${message} />`}
    ${message.vcard && html`<${Cards} message=${message} />`}
    ${gone && html`<p class="text"><i>${t('message.deleted')}</i></p>`}
    ${message.body && !message.vcard && html`<p class="text" dir="auto">${rich(message.body)}</p>`}
    ${!gone && !message.body && !message.media && !message.location && !message.vcard && html`<p class="text"><i>${typeName(message.type)}</i></p>`}
    <${Foot} message=${message} />
    <${Reactions} message=${message} />
  </article>`;
}
