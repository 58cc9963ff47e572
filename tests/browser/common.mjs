// The browser of the tests of the page: node FILE.mjs URL WEBHOOK TOKEN SECRET PICTURES
// The test that starts a file has delivered messages; the steps deliver further ones, and fail by the exit code.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const [url, webhook, token, secret, pictures] = process.argv.slice(2);
const place = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../target/browser-tests/');
const { chromium } = await import(pathToFileURL(path.join(place, 'node_modules/playwright-core/index.mjs')).href);
const axe = createRequire(path.join(place, 'x.js')).resolve('axe-core/axe.min.js');
const program = process.env.CHROMIUM ?? '/usr/bin/chromium';
export const VIEWS = ['', 'waiting', 'search', 'gallery', 'numbers', 'health', 'exports'];
export const LONG = `${url}#/chat/7/573000000001%40c.us`;

export async function deliver(fields) {
  const body = JSON.stringify({ event_type: 'message_received', from_me: 0, type: 'text', is_group: 0, to: '573009998877@c.us', ...fields });
  const signature = createHmac('sha256', secret).update(body).digest('hex');
  const answer = await fetch(`${webhook}/webhook/7`, { method: 'POST', body, headers: { 'X-Whapi-Signature': signature } });
  assert.equal(answer.status, 200, await answer.text());
}

/** The first view may need so many requests and bytes. */
const MOST_REQUESTS = 20;
const MOST_BYTES = 64 * 1024;

const browser = await chromium.launch({
  executablePath: program,
  args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-proxy-server', '--enable-precise-memory-info',
    `--host-resolver-rules=${process.env.RESOLVE ? `${process.env.RESOLVE}, ` : ''}MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`],
});
const wrong = [];
/** The addresses that each page waits for. */
const underWayOf = new WeakMap();

/** Opens a window whose every complaint is a failure. */
export async function context(options) {
  const opened = await browser.newContext({ locale: 'es-CO', ignoreHTTPSErrors: url.startsWith('https:'), ...options });
  await opened.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
  });
  opened.on('page', (page) => {
    page.on('pageerror', (error) => wrong.push(`error: ${error.message}`));
    const underWay = new Set();
    underWayOf.set(page, underWay);
    page.on('request', (request) => underWay.add(request.url()));
    for (const end of ['requestfinished', 'requestfailed']) page.on(end, (request) => underWay.delete(request.url()));
    page.on('dialog', (dialog) => wrong.push(`dialog: ${dialog.message()}`));
    page.on('request', (request) => new URL(request.url()).origin === new URL(url).origin || wrong.push(`foreign: ${request.url()}`));
    page.on('console', (line) => /CSP|Content Security|Trusted/.test(line.text()) && wrong.push(line.text()));
  });
  return opened;
}

export async function logIn(page) {
  await page.goto(url);
  await page.fill('input[name=token]', token);
  await page.click('button.primary');
  await shows(page, 'a.chat');
}

/** Returns a function that adds to an error what the page shows and waits for. */
const told = (page) => async (error) => {
  const text = await page.evaluate(() => document.body.innerText);
  throw new Error(`${page.url()} waits for ${[...underWayOf.get(page)]} and shows ${text}`, { cause: error });
};

/** Waits until the page shows this. @param {string} selector @param {object} [options] */
export const shows = (page, selector, options) => page.waitForSelector(selector, options).catch(told(page));

/** Opens a window with these settings, logs in, and goes to a place of the page. @param {string} [place] @param {object} [options] */
export async function reader(place, options) {
  const opened = await context(options);
  const page = await opened.newPage();
  await logIn(page);
  if (place) await page.goto(place);
  return { opened, page };
}

/** Does what each view needs before it is full. @param {string} [words] what is searched */
export async function show(page, view, words = 'hola') {
  await page.goto(view === 'chat' ? `${url}#/chat/7/573000000666%40c.us` : `${url}#/${view}`);
  if (view === 'search') {
    await page.fill('#search-q', words);
    await page.keyboard.press('Enter');
    await shows(page, 'a.hit');
  }
  if (view === 'chat') await shows(page, '.bubble');
  await loaded(page);
}

/** Waits until no part of the page is loading. */
export const loaded = (page) => page.waitForFunction(() => !document.querySelector('.loading')).catch(told(page));

export async function violations(page, what) {
  await loaded(page);
  // axe is run as a debugger would, past the policy of the page.
  await page.evaluate(await readFile(axe, 'utf8'));
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  return found.violations.map((it) => `${what}: ${it.id}: ${it.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`).join(' | ')}`);
}

export const keys = (page) => page.$$eval('.row', (rows) => rows.map((row) => row.getAttribute('data-key')));
/** The numbers in the ids of the messages on the page. */
export const numbers = async (page) => (await keys(page)).map((key) => Number(key.split(/\/[A-Z]/)[1]));

/** Scrolls the messages to an end, and waits until further ones are there. @param {'older'|'newer'} side */
export async function scroll(page, side) {
  const edge = side === 'older' ? 0 : -1;
  const known = (await keys(page)).at(edge);
  await page.$eval('.messages', (box, isUp) => { box.scrollTop = isUp ? 0 : box.scrollHeight; }, side === 'older');
  await page.waitForFunction(([at, key]) => [...document.querySelectorAll('.row')].at(at)?.dataset.key !== key, [edge, known]).catch(told(page));
}

export const isGapless = (list) => list.every((n, at) => at === 0 || n === list[at - 1] + 1);

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
/** Asks the test that started this to do something, and waits until it is done. */
export async function ask(what) {
  console.log(`ask: ${what}`);
  const { value } = await answers.next();
  assert.equal(value, 'done');
}

/** Opens the page with an empty cache on a telephone that is four times slower, over a line of 1.6 Mbit/s and this latency in ms. When
 * the list of conversations is there depends on the machine, and is told; what has to come over the line for it is judged. @param {number} latency */
export async function firstView(latency) {
  const opened = await context({ viewport: { width: 360, height: 740 } });
  await logIn(await opened.newPage());
  const fresh = await context({ viewport: { width: 360, height: 740 } });
  await fresh.addCookies(await opened.cookies());
  await opened.close();
  const page = await fresh.newPage();
  const session = await fresh.newCDPSession(page);
  await session.send('Network.enable');
  await session.send('Network.emulateNetworkConditions', { offline: false, latency, downloadThroughput: 1.6e6 / 8, uploadThroughput: 750e3 / 8 });
  await session.send('Emulation.setCPUThrottlingRate', { rate: 4 });
  await page.addInitScript(() => {
    globalThis.seen = {};
    const look = () => {
      for (const [name, selector] of [['shell', '.nav'], ['list', 'a.chat']]) {
        if (!(name in globalThis.seen) && document.querySelector(selector)) globalThis.seen[name] = Math.round(performance.now());
      }
      if (!('list' in globalThis.seen)) requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  });
  await page.goto(url, { waitUntil: 'commit' });
  await page.waitForFunction(() => 'list' in globalThis.seen);
  const seen = await page.evaluate(() => ({ ...globalThis.seen, paint: Math.round(performance.getEntriesByName('first-contentful-paint')[0]?.startTime) }));
  const asked = await page.evaluate(() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')].map((it) => ({ bytes: it.transferSize, line: `${Math.round(it.startTime)}–${Math.round(it.responseEnd)} ms, ${it.transferSize} bytes, ${it.nextHopProtocol}: ${it.name.split('/').pop()}` })));
  const bytes = asked.reduce((sum, it) => sum + it.bytes, 0);
  console.log(`figure: at ${latency} ms: first paint ${seen.paint} ms, shell ${seen.shell} ms, list ${seen.list} ms; ${asked.length} requests, ${bytes} bytes`);
  if (process.env.VERBOSE) console.log(asked.map((it) => it.line).join('\n'));
  assert.ok(asked.length <= MOST_REQUESTS && bytes <= MOST_BYTES, `${asked.length} requests, ${bytes} bytes`);
  await fresh.close();
}

/** Runs the steps whose names contain the setting STEP, all but those if it begins with `!`, or all. */
export async function run(steps) {
  let failed = 0;
  const wanted = process.env.STEP ?? '';
  const chosen = Object.entries(steps).filter(([name]) => (wanted.startsWith('!') ? !name.includes(wanted.slice(1)) : name.includes(wanted)));
  assert.ok(chosen.length, 'there is such a step');
  for (const [name, step] of chosen) {
    try {
      await step();
      console.log(`ok: ${name}`);
    } catch (error) {
      failed++;
      console.log(`FAILED: ${name}\n${error.stack}\n${error.cause?.message ?? ''}`);
    }
  }
  await browser.close();
  if (wrong.length) console.log(`FAILED: the browser complained\n${[...new Set(wrong)].slice(0, 20).join('\n')}`);
  process.exit(failed || wrong.length ? 1 : 0);
}
