// @ts-check
// Figures, each as a chart and as a table.
import { html, useState } from './vendor.js';
import { get } from './api.js';
import { date, duration, number, t } from './i18n.js';
import { InstanceChoice } from './inbox.js';
import { Failure, Head, Loading, useAsked } from './ui.js';

const DAY = 86_400_000;
const RANGES = [7, 30, 90];

/** @param {{title: string, columns: string[], rows: (string|number)[][], children: unknown}} props */
const Figure = ({ title, columns, rows, children }) => html`<figure class="card"><figcaption><h2>${title}</h2></figcaption>
  <div aria-hidden="true">${children}</div>
  <details><summary>${t('numbers.table')}</summary><div class="table" tabindex="0" role="group" aria-label=${title}><table>
    <thead><tr>${columns.map((it) => html`<th scope="col">${it}</th>`)}</tr></thead>
    <tbody>${rows.map(([head, ...cells]) => html`<tr><th scope="row">${head}</th>${cells.map((it) => html`<td>${typeof it === 'number' ? number(it) : it}</td>`)}</tr>`)}</tbody>
  </table></div></details></figure>`;

/** Bars of two kinds on each other. @param {{bars: {label: string, low: number, high: number}[]}} props */
function Bars({ bars }) {
  const most = Math.max(1, ...bars.map((it) => it.low + it.high));
  const width = 600 / Math.max(1, bars.length);
  const every = Math.ceil(bars.length / 6);
  return html`<svg class="bars" viewBox="0 0 600 170" preserveAspectRatio="none">${bars.map(({ low, high }, n) => {
    const [a, b] = [(low / most) * 150, (high / most) * 150];
    const x = n * width + width * 0.12;
    return html`<g><rect class="low" x=${x} y=${160 - a} width=${width * 0.76} height=${a} rx="1.500" /><rect class="high" x=${x} y=${160 - a - b} width=${width * 0.76} height=${b} rx="1.500" /></g>`;
  })}</svg><div class="axis">${bars.filter((_, n) => n % every === 0).map((it) => html`<span>${it.label}</span>`)}</div>
  <p class="legend"><span class="low">${t('numbers.incoming')}</span><span class="high">${t('numbers.outgoing')}</span><span>${t('numbers.most', { n: most })}</span></p>`;
}

/** @param {{rows: [string, number, number|null][]}} props */
const Funnel = ({ rows }) => html`<div class="funnel">${rows.map(([name, count, share]) => html`<p><span>${name}</span><svg viewBox="0 0 100 8" preserveAspectRatio="none"><rect class="ground" width="100" height="8" rx="2" /><rect class="low" width=${(share ?? 0) * 100} height="8" rx="2" /></svg><b>${number(count)}</b><small>${share === null ? '' : number(share, { style: 'percent' })}</small></p>`)}</div>`;

/** @param {{incoming: number[][]}} props */
function Heat({ incoming }) {
  const most = Math.max(1, ...incoming.flat());
  return html`<svg class="heat" viewBox="0 0 268 84">${incoming.map((row, day) => html`<text x="0" y=${day * 11 + 15}>${weekday(day)}</text>${row.map((count, hour) => html`<rect class="low" x=${28 + hour * 10} y=${day * 11 + 7} width="9" height="10" rx="1.500" opacity=${0.07 + 0.93 * (count / most)} />`)}`)}
    ${[0, 6, 12, 18].map((hour) => html`<text x=${28 + hour * 10} y="5">${hour}</text>`)}</svg>`;
}

/** Returns the name of a weekday, 0 for Monday. @param {number} day */
const weekday = (day) => new Intl.DateTimeFormat(document.documentElement.lang, { weekday: 'short', timeZone: 'UTC' }).format(Date.UTC(2024, 0, 1 + day));

/** @param {number|null} seconds */
const orNone = (seconds) => (seconds === null ? '–' : duration(seconds));

export function Numbers() {
  const [instance_id, setInstance] = useState('');
  const [days, setDays] = useState(30);
  const asked = useAsked(
    async (signal) => {
      const since = new Date(Math.floor(Date.now() / DAY) * DAY - days * DAY).toISOString().slice(0, 10);
      const query = { instance_id, since, kind: 'person,group' };
      const one = { instance_id, since };
      const [messages, delivery, responses, hours] = await Promise.all([
        get('/stats/messages', { ...query, by: 'day' }, signal),
        get('/stats/delivery', query, signal),
        get('/stats/responses', one, signal),
        get('/stats/hours', query, signal),
      ]);
      return { messages, delivery, responses, hours };
    },
    [instance_id, days],
  );
  const value = asked.value;
  return html`<section class="page" aria-label=${t('numbers')}>
    <${Head} title=${t('numbers')}><${InstanceChoice} value=${instance_id} change=${setInstance} /><//>
    <div class="chips tabs" role="group" aria-label=${t('numbers.range')}>${RANGES.map((it) => html`<button class="chip" aria-pressed=${days === it} onClick=${() => setDays(it)}>${t('numbers.days', { n: it })}</button>`)}</div>
    <div class="scroll" tabindex="0">${asked.error && !value ? html`<${Failure} error=${asked.error} retry=${asked.again} />` : !value ? html`<${Loading} />` : html`
      <p class="hint">${t('numbers.zone', { zone: value.messages.time_zone })}</p>
      <div class="cards">${shown(value)}</div>`}</div>
  </section>`;
}

/** @param {any} value */
function shown({ messages, delivery, responses, hours }) {
  const days = messages.data.map((/** @type {any} */ it) => ({ label: date(it.since, { day: 'numeric', month: 'numeric' }), low: it.incoming, high: it.outgoing }));
  const figures = delivery.data;
  const funnel = /** @type {[string, number, number|null][]} */ (['sent', 'delivered', 'read', 'failed'].map((it) => [t(`ack.${it}`), figures[it], figures.rates[it]]));
  const answers = responses.data;
  const byHour = answers.by_hour.map((/** @type {any} */ it) => [`${it.hour}:00`, it.count, orNone(it.seconds.p50), orNone(it.seconds.p90)]);
  return html`
    <${Figure} title=${t('numbers.messages')} columns=${[t('day'), t('numbers.incoming'), t('numbers.outgoing')]} rows=${days.map((/** @type {any} */ it) => [it.label, it.low, it.high])}><${Bars} bars=${days} /><//>
    <${Figure} title=${t('numbers.delivery')} columns=${[t('state'), t('numbers.count'), t('numbers.share')]} rows=${[[t('numbers.total'), figures.total, ''], ...funnel.map(([a, b, c]) => [a, b, c === null ? '–' : number(c, { style: 'percent' })])]}><${Funnel} rows=${[[t('numbers.total'), figures.total, figures.total ? 1 : null], ...funnel]} /><//>
    <${Figure} title=${t('numbers.responses')} columns=${[t('hour'), t('numbers.count'), t('numbers.half'), t('numbers.ninety')]} rows=${byHour}>
      <p class="big"><span><b>${orNone(answers.seconds.p50)}</b><small>${t('numbers.half')}</small></span><span><b>${orNone(answers.seconds.p90)}</b><small>${t('numbers.ninety')}</small></span><span><b>${number(answers.count)}</b><small>${t('numbers.answers')}</small></span></p><//>
    <${Figure} title=${t('numbers.hours')} columns=${[t('day'), ...Array.from({ length: 24 }, (_, hour) => String(hour))]} rows=${hours.data.incoming.map((/** @type {number[]} */ row, /** @type {number} */ day) => [weekday(day), ...row])}><${Heat} incoming=${hours.data.incoming} /><//>`;
}
