// @ts-check
// Files with messages, conversations or media: the ones that were ordered, and a form for another.
import { html, useEffect, useState } from './vendor.js';
import { get, order, path } from './api.js';
import { full, number, size, t } from './i18n.js';
import { InstanceChoice } from './inbox.js';
import { chatLink, explain, Failure, Head, Icon, Loading, nameOf, useAsked } from './ui.js';

const LISTS = ['messages', 'chats', 'media'];
const FORMATS = ['xlsx', 'csv', 'ndjson'];
/** The time between two looks at an export that runs, in ms. */
const LOOK_EVERY = 1000;

/** Returns the day after a date: the API leaves the end out. @param {string} day */
const nextDay = (day) => new Date(new Date(`${day}T00:00:00Z`).valueOf() + 86_400_000).toISOString().slice(0, 10);

/** @param {{instance?: string, chat?: string}} props */
export function Exports({ instance, chat }) {
  const jobs = useAsked((signal) => get('/exports', {}, signal), []);
  const [error, setError] = useState(/** @type {unknown} */ (null));
  const [busy, setBusy] = useState(false);
  const [name, setName] = useState(chat ?? '');
  const [form, setForm] = useState({ list: 'messages', format: 'xlsx', contact: '', since: '', until: '', instance_id: '' });
  const runs = (jobs.value?.data ?? []).some((/** @type {any} */ it) => it.state === 'running');
  useEffect(() => {
    if (!runs) return;
    const timer = setInterval(jobs.again, LOOK_EVERY);
    return () => clearInterval(timer);
  }, [runs]);
  useEffect(() => {
    if (instance && chat) get(`/chats${path(instance, chat)}`).then((found) => setName(nameOf(found)), () => {});
  }, [instance, chat]);
  /** @param {string} name */
  const field = (name) => ({ value: /** @type {any} */ (form)[name], onInput: (/** @type {any} */ event) => setForm({ ...form, [name]: event.target.value }) });
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    const { list, format, since, until } = form;
    const whose = chat ? { instance_id: instance, chat_id: chat } : { instance_id: form.instance_id, contact: form.contact.trim() };
    const filter = Object.fromEntries(Object.entries({ ...whose, since, until: until && nextDay(until) }).filter(([, value]) => value));
    try {
      await order('/exports', { list, format, filter });
      jobs.again();
    } catch (failure) {
      setError(failure);
    }
    setBusy(false);
  };
  return html`<section class="page" aria-label=${t('exports')}><${Head} title=${t('exports')} />
    <div class="scroll" tabindex="0"><div class="cards">
      <section class="card"><h2>${t('exports.new')}</h2><form class="fields" onSubmit=${submit}>
        ${chat && html`<p class="whose">${t('exports.chat')}: <a href=${chatLink(instance ?? '', chat)}><bdi>${name}</bdi></a><br /><a href="#/exports">${t('exports.all')}</a></p>`}
        <label>${t('exports.list')}<select ...${field('list')}>${LISTS.filter((it) => !chat || it !== 'chats').map((it) => html`<option value=${it}>${t(`exports.${it}`)}</option>`)}</select></label>
        <label>${t('exports.format')}<select ...${field('format')}>${FORMATS.map((it) => html`<option value=${it}>${t(`exports.${it}`)}</option>`)}</select></label>
        ${!chat && html`<label>${t('search.contact')}<input inputmode="tel" placeholder="+57 300 111 2233" ...${field('contact')} /></label>`}
        <label>${t('since')}<input type="date" ...${field('since')} /></label>
        <label>${t('until')}<input type="date" ...${field('until')} /></label>
        ${!chat && html`<${InstanceChoice} value=${form.instance_id} change=${(/** @type {string} */ id) => setForm({ ...form, instance_id: id })} />`}
        <button class="primary" disabled=${busy || runs}>${t('exports.begin')}</button>
      </form>
      ${error !== null && html`<p class="failed" role="alert">${explain(error)}</p>`}
      <p class="advice">${t('exports.text')}</p></section>
      <section class="card" aria-live="polite"><h2>${t('exports.jobs')}</h2>${jobs.error && !jobs.value ? html`<${Failure} error=${jobs.error} retry=${jobs.again} />` : !jobs.value ? html`<${Loading} />` : !jobs.value.data.length ? html`<p class="advice">${t('exports.none')}</p>` : html`
        <ul class="plain">${jobs.value.data.map((/** @type {any} */ it) => html`<li key=${it.id}><${Job} job=${it} /></li>`)}</ul>`}</section>
    </div></div></section>`;
}

/** @param {{job: any}} props */
function Job({ job }) {
  const what = `${t(`exports.${job.list}`)} · ${t(`exports.${job.format}`)}`;
  const when = html`<small>${full(job.created_at)}</small>`;
  if (job.state === 'running') return html`<p class="line"><b>${what}</b>${when}</p><p class="advice">${t('exports.running')}</p>`;
  if (job.state !== 'done') return html`<p class="line"><b>${what}</b>${when}</p><p class="advice warn">${t('exports.failed')} <bdi>${job.reason}</bdi></p>`;
  return html`<p class="line"><b>${what}</b>${when}</p>
    <a class="file" href=${job.url} download=${`${job.list}.${job.format}`}><${Icon} name="down" /><span><b>${t('exports.save')}</b><small>${t('exports.rows', { n: job.rows })} · ${size(job.size)}</small></span></a>
    ${job.cut > 0 && html`<p class="advice warn">${t('exports.cut', { count: number(job.cut) })}</p>`}
    <p class="advice">${t('exports.until', { time: full(job.expires_at) })}</p>`;
}
