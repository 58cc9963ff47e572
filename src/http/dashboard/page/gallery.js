// @ts-check
// The pictures, sounds, documents and links of a conversation, or of all of them.
import { html, useState } from './vendor.js';
import { get, me, path } from './api.js';
import { full, size, t } from './i18n.js';
import { linksOf } from './format.js';
import { instances, InstanceChoice } from './inbox.js';
import { authorOf } from './message.js';
import { chatLink, Empty, Failure, Head, Icon, Loading, Sentinel, usePages } from './ui.js';

const TABS = ['image', 'video', 'audio', 'application', 'links'];

/** Leads from a file to its message. @param {any} item */
async function open(item) {
  const message = await get(`/messages${path(item.instance_id, item.message_id)}`);
  location.hash = chatLink(item.instance_id, message.chat_id ?? '', item.message_id);
}

/** @param {{instance?: string, chat?: string}} props */
export function Gallery({ instance, chat }) {
  const [tab, setTab] = useState('image');
  const [chosen, setChosen] = useState('');
  const where = { instance_id: instance ?? chosen, chat_id: chat };
  const list = usePages(
    (cursor, signal) =>
      tab === 'links'
        ? get('/messages', { ...where, q: 'http', limit: 50, cursor }, signal)
        : get('/media', { ...where, state: 'stored', type: tab, limit: 60, cursor }, signal),
    [tab, chosen, instance, chat],
  );
  const items = tab === 'links' ? list.items.flatMap((/** @type {any} */ it) => linksOf(it.body ?? '').map((url) => ({ ...it, url }))) : list.items;
  return html`<section class="page" aria-label=${t('gallery')}>
    <${Head} title=${t('gallery')}>
      ${chat ? html`${me.value && me.value.can_export && html`<a class="button" href=${`#/exports/${encodeURIComponent(instance ?? '')}/${encodeURIComponent(chat)}`}>${t('exports')}</a>`}
        <a class="button" href=${chatLink(instance ?? '', chat)}>${t('gallery.back')}</a>` : instances.value.length > 1 && html`<${InstanceChoice} value=${chosen} change=${setChosen} />`}
    <//>
    <div class="chips tabs" role="group" aria-label=${t('filters')}>${TABS.map((it) => html`<button class="chip" aria-pressed=${tab === it} onClick=${() => setTab(it)}>${t(`gallery.${it}`)}</button>`)}</div>
    <div class="scroll" tabindex="0">
    ${list.error ? html`<${Failure} error=${list.error} retry=${list.again} />` : !list.ready ? html`<${Loading} />` : !items.length && !list.next ? html`<${Empty} title=${t('gallery.none')} text=${t('gallery.noneText')} />` : tab === 'image' ? html`
      <ul class="grid">${items.map((/** @type {any} */ it) => html`<li key=${it.instance_id + it.message_id}><button onClick=${() => open(it)} aria-label=${`${t('type.image')}, ${full(it.occurred_at)}`}><img src=${it.url} alt="" loading="lazy" decoding="async" onError=${(/** @type {any} */ event) => event.target.remove()} /><${Icon} name="picture" /></button></li>`)}</ul>` : tab === 'links' ? html`
      <ul class="hits">${items.map((/** @type {any} */ it) => html`<li key=${it.instance_id + it.id + it.url} class="hit"><a href=${it.url} target="_blank" rel="noopener noreferrer nofollow"><bdi>${it.url}</bdi></a>
        <a class="tag" href=${chatLink(it.instance_id, it.chat_id ?? '', it.id)}><bdi>${authorOf(it)}</bdi>, ${full(it.occurred_at)}</a></li>`)}</ul>` : html`
      <ul class="hits">${items.map((/** @type {any} */ it) => html`<li key=${it.instance_id + it.message_id} class="hit">
        ${tab === 'audio' ? html`<audio src=${it.url} controls preload="none" aria-label=${full(it.occurred_at)}></audio>` : tab === 'video' ? html`<video src=${it.url} controls preload="none" aria-label=${full(it.occurred_at)}></video>` : html`<a class="file" href=${it.url} download><${Icon} name="file" /><span><b><bdi>${it.filename ?? t('type.document')}</bdi></b><small>${it.size === null ? '' : size(it.size)}</small></span></a>`}
        <button class="link" onClick=${() => open(it)}>${t('gallery.message', { time: full(it.occurred_at) })}</button></li>`)}</ul>`}
    ${list.next && html`<${Sentinel} key=${list.next} more=${list.more} />`}
    </div>
  </section>`;
}
