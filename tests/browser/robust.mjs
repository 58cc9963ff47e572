// The page under load, over a slow line, and while the service is away.
import assert from 'node:assert/strict';
import { ask, context, deliver, firstView, isGapless, keys, logIn, LONG, numbers, run, scroll, shows, url } from './common.mjs';

const DEEP = `${url}#/chat/7/573000000003%40c.us`;
/** The number of messages of the deep conversation: one a minute from this day on. */
const DEPTH = Number(process.env.DEPTH);
const FIRST = Date.UTC(2023, 0, 1);
const MOST_ROWS = 300;
const MOST_ELEMENTS = 8000;
const MOST_MEMORY = 16 * 1024 * 1024;

/** Notes the tasks that keep the page from answering for more than 50 ms. They depend on the machine and are told, not judged. */
async function watchTasks(page) {
  await page.evaluate(() => {
    globalThis.longTasks = [];
    new PerformanceObserver((list) => globalThis.longTasks.push(...list.getEntries().map((it) => Math.round(it.duration)))).observe({ type: 'longtask' });
  });
  return async (what) => {
    const tasks = await page.evaluate(() => globalThis.longTasks.splice(0));
    console.log(`figure: ${what}: ${tasks.length} tasks over 50 ms${tasks.length ? `, the longest ${Math.max(...tasks)} ms` : ''}`);
  };
}

/** Returns the memory of the page's scripts after a collection, and the number of its nodes, also of those that are not shown. */
async function memory(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  await session.send('HeapProfiler.collectGarbage');
  const { metrics } = await session.send('Performance.getMetrics');
  const value = (name) => metrics.find((it) => it.name === name).value;
  return { bytes: value('JSHeapUsedSize'), nodes: value('Nodes') };
}

const steps = {
  async 'a thousand messages in ten seconds move nothing of what is read'() {
    const opened = await context({ viewport: { width: 1440, height: 900 } });
    const page = await opened.newPage();
    await logIn(page);
    await page.goto(LONG);
    await shows(page, '.bubble');
    const total = Math.max(...(await numbers(page)));
    await page.$eval('.messages', (box) => { box.scrollTop = box.scrollHeight - box.clientHeight - 700; });
    const told = await watchTasks(page);
    // Each frame is compared with the first one.
    await page.evaluate(() => {
      const box = document.querySelector('.messages');
      const row = [...box.querySelectorAll('.row')].find((it) => it.getBoundingClientRect().top > 200);
      const top = row.getBoundingClientRect().top;
      globalThis.frames = { count: 0, moved: 0 };
      const look = () => {
        globalThis.frames.count++;
        globalThis.frames.moved = Math.max(globalThis.frames.moved, Math.abs(row.getBoundingClientRect().top - top), row.isConnected ? 0 : 1e6);
        requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
    });
    const [begun, now] = [Date.now(), Math.floor(Date.now() / 1000)];
    const fields = (n) => ({ id: `L${total + n}`, chat_id: '573000000001@c.us', from: '573000000001@c.us', body: `ráfaga ${n}`, timestamp: now - 2000 + n });
    for (let n = 0; n < 1000; n += 10) {
      await Promise.all(Array.from({ length: 10 }, (_, k) => deliver(fields(n + k + 1))));
      await new Promise((done) => setTimeout(done, Math.max(0, begun + n * 10 - Date.now())));
    }
    console.log(`figure: 1000 events took ${Date.now() - begun} ms`);
    await page.locator('.pill', { hasText: /^↓ 1.?000 nuevos$/ }).waitFor();
    const frames = await page.evaluate(() => globalThis.frames);
    console.log(`figure: ${frames.count} frames meanwhile`);
    await told('1000 events in 10 s');
    assert.ok(frames.moved <= 1, `it moved by ${frames.moved}`);
    assert.ok(frames.count > 50, `${frames.count} frames`);
    const shown = await numbers(page);
    assert.ok(shown.length <= MOST_ROWS, `${shown.length} messages are on the page`);
    assert.ok(isGapless(shown), `${shown}`);
    await page.click('.pill');
    await page.waitForFunction((last) => document.querySelector(`#m-L${last}`)?.getBoundingClientRect().bottom < innerHeight, total + 1000);
    const newest = await numbers(page);
    assert.ok(isGapless(newest), `${newest}`);
    assert.ok(newest.length <= MOST_ROWS, `${newest.length} messages are on the page`);
    await page.locator('a.chat').first().filter({ hasText: 'ráfaga 1000' }).waitFor();
    await opened.close();
  },

  async 'while the service is away the page says so, and afterwards nothing is missing or twice'() {
    const opened = await context({ viewport: { width: 1440, height: 900 } });
    const page = await opened.newPage();
    await logIn(page);
    await page.goto(LONG);
    await shows(page, '.bubble');
    let last = Math.max(...(await numbers(page)));
    const now = Math.floor(Date.now() / 1000) + 1000;
    const more = (n) => deliver({ id: `L${n}`, chat_id: '573000000001@c.us', from: '573000000001@c.us', body: `mensaje ${n}`, timestamp: now + n });
    for (let round = 0; round < 2; round++) {
      await more(++last);
      await page.locator(`#m-L${last}`).waitFor();
      await more(++last);
      await ask('kill');
      await page.locator('.banner').waitFor();
      await ask('start');
      for (let n = 0; n < 5; n++) await more(++last);
      await page.locator(`#m-L${last}`).waitFor();
      await page.locator('.banner').waitFor({ state: 'detached' });
      const list = await numbers(page);
      assert.ok(isGapless(list) && new Set(list).size === list.length, `${list}`);
      assert.equal(list.at(-1), last);
      await page.locator('a.chat').first().filter({ hasText: `mensaje ${last}` }).waitFor();
    }
    await opened.close();
  },

  async 'a conversation of any length is read at any date with few messages on the page'() {
    const opened = await context({ viewport: { width: 360, height: 740 } });
    const page = await opened.newPage();
    await logIn(page);
    await page.goto(DEEP);
    await shows(page, '.bubble');
    const before = await memory(page);
    const told = await watchTasks(page);
    const check = async () => {
      const list = await numbers(page);
      assert.ok(isGapless(list), `${list}`);
      assert.ok(list.length <= MOST_ROWS, `${list.length} messages are on the page`);
      const elements = await page.evaluate(() => document.querySelectorAll('*').length);
      assert.ok(elements <= MOST_ELEMENTS, `${elements} elements are on the page`);
      return list;
    };
    // The middle of the conversation, by its date.
    const day = new Date(FIRST + Math.floor(DEPTH / 2) * 60_000).toISOString().slice(0, 10);
    const first = (Date.parse(`${day}T00:00:00Z`) - FIRST) / 60_000 + 1;
    const asked = Date.now();
    await page.locator('.head input[type=date]').fill(day);
    await page.locator(`#m-D${first}`).waitFor();
    console.log(`figure: to a date among ${DEPTH} messages: ${Date.now() - asked} ms`);
    assert.ok((await check()).includes(first));
    for (const side of ['older', 'newer']) {
      let reached = first;
      for (let n = 0; n < 40; n++) {
        const list = await check();
        const edge = side === 'older' ? list[0] : list.at(-1);
        assert.ok(n < 10 || (side === 'older' ? edge < reached : edge > reached), `${edge} after ${reached}`);
        reached = edge;
        await scroll(page, side);
      }
    }
    await told('80 pages up and down');
    const after = await memory(page);
    console.log(`figure: memory of the scripts ${(before.bytes / 1e6).toFixed(1)} MB before, ${(after.bytes / 1e6).toFixed(1)} MB after; nodes ${before.nodes}, ${after.nodes}`);
    assert.ok(after.bytes < MOST_MEMORY, `${after.bytes} bytes`);
    assert.ok(after.nodes < MOST_ELEMENTS, `${after.nodes} nodes`);
    await page.goto(`${DEEP}/D7`);
    await shows(page, '#m-D7.marked');
    await check();
    await opened.close();
  },

  async 'the first view over a slow line'() {
    for (const latency of [150, 400]) await firstView(latency);
  },
};

await run(steps);
