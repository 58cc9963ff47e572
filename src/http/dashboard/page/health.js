// @ts-check
// What the owner should know about the service, each with what to do.
import { html, useState } from './vendor.js';
import { get, me } from './api.js';
import { duration, full, number, size, t, time } from './i18n.js';
import { instances, loadInstances } from './inbox.js';
import { Empty, Failure, Head, Loading, useAsked } from './ui.js';

const LOST = ['expired', 'refused', 'too_large', 'failed'];
/** The silence of an instance that is worth a look, in seconds. */
const QUIET = 86_400;
const MOST = 50;
/** The age of the latest backup, and of its last check, that is worth a look, in seconds. */
const OLD_BACKUP = 2 * 86_400;
const OLD_CHECK = 31 * 86_400;

export function Health() {
  const asked = useAsked(async (signal) => {
    const [, quarantine, forwards, backups, ...lost] = await Promise.all([
      loadInstances(),
      get('/events', { state: 'quarantined', limit: MOST }, signal),
      get('/forwards', {}, signal),
      get('/backups', {}, signal),
      ...LOST.map((state) => get('/media', { state, limit: MOST }, signal)),
    ]);
    return { quarantine, forwards: forwards.data, backups: backups.data, lost };
  }, [], 10_000);
  const value = asked.value;
  const known = me.value || null;
  return html`<section class="page" aria-label=${t('health')}><${Head} title=${t('health')} />
    <div class="scroll" tabindex="0">${asked.error && !value ? html`<${Failure} error=${asked.error} retry=${asked.again} />` : !value ? html`<${Loading} />` : html`<div class="cards">
      <section class="card"><h2>${t('health.instances')}</h2>
        ${!instances.value.length ? html`<${Empty} title=${t('none.yet')} />` : html`<ul class="plain">${instances.value.map((it) => html`<${Instance} key=${it.instance_id} instance=${it} />`)}</ul>`}</section>
      <${Media} lost=${value.lost} />
      <${Quarantine} page=${value.quarantine} />
      ${value.forwards.length > 0 && html`<section class="card"><h2>${t('health.forwards')}</h2><ul class="plain">${value.forwards.map((/** @type {any} */ it) => html`<${Forward} key=${it.name} forward=${it} />`)}</ul></section>`}
      ${known?.is_owner && html`<${Backups} places=${value.backups} />`}
      <section class="card"><h2>${t('health.service')}</h2>
        <dl><dt>${t('health.version')}</dt><dd>${known?.version}</dd><dt>${t('health.zone')}</dt><dd>${known?.time_zone} · ${time(new Date().toISOString())}</dd></dl>
        ${known?.time_zone === 'UTC' && html`<p class="advice warn">${t('health.utc')}</p>`}
        ${known?.is_owner && html`<p class="advice">${t('health.doctor')} <code>buzon doctor</code></p>`}</section>
    </div>`}</div></section>`;
}

/** @param {{instance: any}} props */
function Instance({ instance }) {
  const last = instance.last_event?.received_at;
  const silence = last ? (Date.now() - new Date(last).valueOf()) / 1000 : null;
  const state = silence === null ? 'warn' : silence > QUIET ? 'warn' : 'good';
  return html`<li><p class="line"><span><span class=${`dot ${state}`} aria-hidden="true"></span> <b><bdi>${instance.name ?? instance.instance_id}</bdi></b>${instance.name ? html` <small><bdi>${instance.instance_id}</bdi></small>` : ''}</span>
      <small>${last ? t('health.last', { time: full(last) }) : t('health.never')}</small></p>
    <p><small>${t('health.today', { incoming: instance.today.incoming, outgoing: instance.today.outgoing })}${instance.quarantined ? ` · ${t('health.quarantined', { n: instance.quarantined })}` : ''}</small></p>
    ${state === 'warn' && html`<p class="advice warn">${silence === null ? t('health.neverText') : t('health.silent', { time: duration(silence) })}</p>`}</li>`;
}

/** @param {{forward: any}} props */
function Forward({ forward }) {
  const advice = forward.paused ? 'paused' : forward.stopped_since ? 'stopped' : forward.given_up ? 'givenUp' : null;
  return html`<li><p class="line"><span><span class=${`dot ${advice ? 'warn' : 'good'}`} aria-hidden="true"></span> <b><bdi>${forward.name}</bdi></b></span>
      <small>${t('forward.counts', { delivered: forward.delivered, behind: forward.behind })}</small></p>
    ${advice && html`<p class="advice warn">${t(`forward.${advice}`, { name: forward.name, count: forward.given_up, time: forward.stopped_since ? full(forward.stopped_since) : '' })}</p>`}</li>`;
}

/** @param {{places: any[]}} props */
const Backups = ({ places }) => html`<section class="card"><h2>${t('health.backups')}</h2>${!places.length ? html`
  <p class="advice warn">${t('backup.unknown')}</p><p class="advice"><code>backup_to = ["/mnt/backup/buzon"]</code></p><p class="advice"><code>buzon backup /mnt/backup/buzon --keep 14</code></p>` : html`
  <ul class="plain">${places.map((it) => html`<${Backup} key=${it.place} place=${it} />`)}</ul>`}</section>`;

/** @param {{place: any}} props */
function Backup({ place }) {
  const { latest, check, problem } = place;
  const age = latest ? (Date.now() - new Date(latest.begun_at).valueOf()) / 1000 : 0;
  const checked = check ? (Date.now() - new Date(check.at).valueOf()) / 1000 : 0;
  const advice = [
    problem && html`${t('backup.problem')} <bdi>${problem}</bdi>`,
    !latest && !problem && html`${t('backup.none')} <code>buzon backup ${place.place} --keep 14</code>`,
    latest && age > OLD_BACKUP && t('backup.old', { time: duration(age) }),
    latest?.lacking > 0 && t('backup.lacking', { n: latest.lacking }),
    check?.problems > 0 && t('backup.damaged', { n: check.problems, name: check.backup }),
    latest && (!check || checked > OLD_CHECK) && html`${t('backup.unverified')} <code>buzon backup verify ${place.place}</code>`,
  ].filter(Boolean);
  return html`<li><p class="line"><span><span class=${`dot ${advice.length ? 'warn' : 'good'}`} aria-hidden="true"></span> <b><bdi>${place.place}</bdi></b></span></p>
    ${latest && html`<p><small>${t('backup.latest', { time: full(latest.begun_at), size: size(latest.bytes) })}</small></p>`}
    ${check && html`<p><small>${t('backup.check', { time: full(check.at) })}</small></p>`}
    ${advice.map((it) => html`<p class="advice warn">${it}</p>`)}</li>`;
}

/** @param {{lost: any[]}} props */
function Media({ lost }) {
  const groups = LOST.map((state, n) => ({ state, items: lost[n].data, more: lost[n].next_cursor })).filter((it) => it.items.length);
  return html`<section class="card"><h2>${t('health.media')}</h2>${!groups.length ? html`<p class="fine">${t('health.mediaFine')}</p>` : groups.map(({ state, items, more }) => html`<div>
    <p class="line"><b>${t(`media.${state}`)}</b><b>${number(items.length)}${more ? '+' : ''}</b></p><p class="advice">${t(`advice.${state}`)}</p>
    <details><summary>${t('health.which')}</summary><ul class="plain">${items.slice(0, 20).map((/** @type {any} */ it) => html`<li><small>${full(it.occurred_at)} · <bdi>${it.filename ?? it.message_id}</bdi>${it.reason ? html`<bdi>: ${it.reason}</bdi>` : ''}</small></li>`)}</ul></details></div>`)}</section>`;
}

/** @param {{page: any}} props */
function Quarantine({ page }) {
  return html`<section class="card"><h2>${t('health.quarantine')}</h2>${!page.data.length ? html`<p class="fine">${t('health.quarantineFine')}</p>` : html`
    <p class="advice warn">${t('health.quarantineText', { n: page.data.length })}${page.next_cursor ? '+' : ''}</p>
    <ul class="plain">${page.data.slice(0, 20).map((/** @type {any} */ it) => html`<li key=${it.id}><${Quarantined} event=${it} /></li>`)}</ul>`}</section>`;
}

/** @param {{event: any}} props */
function Quarantined({ event }) {
  const [body, setBody] = useState('');
  const show = async (/** @type {any} */ toggled) => {
    if (!toggled.target.open || body) return;
    // The id of an event is its path: the instance is percent-encoded in it already.
    const found = await get(`/events/${event.id}`);
    setBody((typeof found.body === 'string' ? found.body : JSON.stringify(found.body ?? found, null, 1)).slice(0, 20_000));
  };
  return html`<details onToggle=${show}><summary><small>${full(event.received_at)} · <bdi>${event.event_type ?? '?'}</bdi> · <bdi>${event.reason}</bdi></small></summary><pre tabindex="0"><code>${body}</code></pre></details>`;
}
