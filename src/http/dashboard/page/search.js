// @ts-check
// Search over all messages.
import { html, signal, useState } from './vendor.js';
import { get } from './api.js';
import { full, t } from './i18n.js';
import { instanceName, instances, InstanceChoice } from './inbox.js';
import { authorOf, shortId, summary, typeName } from './message.js';
import { chatLink, Empty, Failure, Head, Loading, Sentinel, usePages } from './ui.js';

const EMPTY = { q: '', contact: '', since: '', until: '', kind: '', type: '', instance_id: '' };
/** The question stays when somebody returns from a hit. */
const asked = signal({ ...EMPTY });
const TYPES = ['text', 'image', 'video', 'audio', 'ptt', 'document', 'location', 'vcard', 'sticker'];
const KINDS = ['person', 'group', 'status', 'broadcast', 'channel', 'other'];

/** Returns the day after a date. @param {string} day */
const nextDay = (day) => new Date(new Date(`${day}T00:00:00Z`).valueOf() + 86_400_000).toISOString().slice(0, 10);

/** Returns a text with what was searched in <mark>. @param {string} text @param {string} q */
function Marked(text, q) {
  const plain = (/** @type {string} */ it) => it.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
  const words = plain(q).match(/[\p{L}\p{N}]+/gu) ?? [];
  const first = words.length ? [...text.matchAll(/[\p{L}\p{N}\p{M}]+/gu)].find((it) => words.some((word) => plain(it[0]).startsWith(word))) : undefined;
  const from = Math.max(0, (first?.index ?? 0) - 60);
  const shown = text.slice(from, from + 240);
  const nodes = [];
  let at = 0;
  for (const found of shown.matchAll(/[\p{L}\p{N}\p{M}]+/gu)) {
    if (!words.some((word) => plain(found[0]).startsWith(word))) continue;
    nodes.push(shown.slice(at, found.index), html`<mark>${found[0]}</mark>`);
    at = found.index + found[0].length;
  }
  return [from > 0 ? '…' : '', ...nodes, shown.slice(at), from + 240 < text.length ? '…' : ''];
}

export function Search() {
  const [form, setForm] = useState(asked.value);
  const { q, contact, since, until, kind, type, instance_id } = asked.value;
  const isAsked = Object.values(asked.value).some(Boolean);
  const query = { q, contact, kind, type, instance_id, since, until: until && nextDay(until), limit: 30 };
  const list = usePages(
    async (cursor, signal) => (isAsked ? get('/messages', { ...query, cursor }, signal) : { data: [], next_cursor: null }),
    Object.values(asked.value),
  );
  /** @param {string} name */
  const field = (name) => ({ id: `search-${name}`, value: /** @type {any} */ (form)[name], onInput: (/** @type {any} */ event) => setForm({ ...form, [name]: event.target.value }) });
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    asked.value = { ...form, q: form.q.trim(), contact: form.contact.trim() };
  };
  const narrowed = !!(contact || since || until || kind || type || instance_id);
  return html`<section class="page" aria-label=${t('search')}>
    <${Head} title=${t('search')} />
    <div class="scroll" tabindex="0">
    <form class="form" role="search" onSubmit=${submit}>
      <div class="line"><input type="search" class="grow" placeholder=${t('search.text')} aria-label=${t('search.text')} enterkeyhint="search" ...${field('q')} /><button class="primary">${t('search')}</button></div>
      <details open=${narrowed}><summary>${t('filters')}</summary><div class="fields">
        <label>${t('search.contact')}<input inputmode="tel" placeholder="+57 300 111 2233" ...${field('contact')} /></label>
        <label>${t('since')}<input type="date" ...${field('since')} /></label>
        <label>${t('until')}<input type="date" ...${field('until')} /></label>
        <label>${t('search.kind')}<select ...${field('kind')}><option value="">${t('filter.all')}</option>${KINDS.map((it) => html`<option value=${it}>${t(`kind.${it}`)}</option>`)}</select></label>
        <label>${t('search.type')}<select ...${field('type')}><option value="">${t('filter.all')}</option>${TYPES.map((it) => html`<option value=${it}>${typeName(it)}</option>`)}</select></label>
        <${InstanceChoice} value=${form.instance_id} change=${(/** @type {string} */ id) => setForm({ ...form, instance_id: id })} />
        ${isAsked && html`<button type="button" onClick=${() => { setForm({ ...EMPTY }); asked.value = { ...EMPTY }; }}>${t('search.clear')}</button>`}
      </div></details>
    </form>
    ${!isAsked ? html`<${Empty} title=${t('search.start')} text=${t('search.help')} />` : list.error ? html`<${Failure} error=${list.error} retry=${list.again} />` : !list.ready ? html`<${Loading} />` : !list.items.length ? html`<${Empty} title=${t('none.found')} text=${t('none.foundText')} />` : html`
    <ul class="hits">${list.items.map((/** @type {any} */ it) => html`<li key=${`${it.instance_id} ${it.id}`}><a class="hit" href=${chatLink(it.instance_id, it.chat_id ?? '', it.id)}>
      <span class="line"><b><bdi>${it.from_me ? `${t('you')} → ${it.contact ? `+${it.contact}` : shortId(it.chat_id ?? '')}` : authorOf(it)}</bdi></b><time datetime=${it.occurred_at}>${full(it.occurred_at)}</time></span>
      <span class="preview" dir="auto">${it.body ? Marked(it.body, q) : summary(it)}</span>
      ${instances.value.length > 1 && html`<small class="tag"><bdi>${instanceName(it.instance_id)}</bdi></small>`}</a></li>`)}
    </ul>${list.next && html`<${Sentinel} key=${list.next} more=${list.more} />`}`}
    </div>
  </section>`;
}
