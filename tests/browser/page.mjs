// The page in a real browser: its views, and what somebody does with them.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { context, deliver, isGapless, keys, loaded, logIn, LONG, numbers, pictures, run, shows, token, url, VIEWS, violations } from './common.mjs';

const steps = {
  async 'a wrong token is refused in words, and the right one is asked for once'() {
    const opened = await context();
    const page = await opened.newPage();
    await page.goto(url);
    assert.deepEqual(await violations(page, 'login'), []);
    await page.fill('input[name=token]', 'wrong');
    await page.click('button.primary');
    await page.getByRole('alert').filter({ hasText: 'no es válida' }).waitFor();
    await logIn(page);
    await page.reload();
    await shows(page, 'a.chat');
    assert.deepEqual((await opened.cookies()).map((it) => [it.httpOnly, it.sameSite]), [[true, 'Strict']]);
    await opened.close();
  },

  async 'every view is accessible and fits, in both themes, three languages, four widths and at 200 %'() {
    const told = [];
    // At 200 %, a screen of 1280 by 720 has half as much room.
    for (const [width, height, colorScheme, locale] of [[320, 740, 'light', 'es-CO'], [360, 740, 'light', 'es-CO'], [360, 740, 'dark', 'pt-BR'], [640, 360, 'light', 'es-CO'], [768, 900, 'dark', 'en-GB'], [1440, 900, 'light', 'es-CO'], [1440, 900, 'dark', 'es-CO']]) {
      const opened = await context({ viewport: { width, height }, colorScheme, locale, deviceScaleFactor: height === 360 ? 2 : 1 });
      const page = await opened.newPage();
      await logIn(page);
      for (const view of [...VIEWS, 'chat']) {
        await page.goto(view === 'chat' ? `${url}#/chat/7/573000000666%40c.us` : `${url}#/${view}`);
        if (view === 'search') {
          await page.fill('#search-q', 'hola');
          await page.keyboard.press('Enter');
          await shows(page, 'a.hit');
        }
        if (view === 'chat') await shows(page, '.bubble');
        told.push(...(await violations(page, `${view} ${width} ${colorScheme} ${locale}`)));
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) told.push(`${view} at ${width} is ${wide} too wide`);
        const cut = await page.$$eval('main h1, nav a, nav button, form button, select', (all) => all.filter((it) => it.checkVisibility()).map((it) => it.getBoundingClientRect()).filter((it) => it.left < 0 || it.right > innerWidth + 1).length);
        if (cut > 0) told.push(`${cut} controls of ${view} at ${width} are cut off`);
        if (pictures) await page.screenshot({ path: `${pictures}/${view || 'inbox'}-${width}-${colorScheme}.png` });
      }
      await opened.close();
    }
    assert.deepEqual(told, []);
  },

  async 'a view whose script comes before the effects of its first drawing is shown'() {
    const opened = await context();
    const page = await opened.newPage();
    // Effects are begun by these two, the second one with a short time.
    await page.addInitScript(() => {
      const [frame, timer] = [requestAnimationFrame, setTimeout];
      const held = [];
      globalThis.requestAnimationFrame = (act) => (globalThis.holds ? held.push(act) : frame(act));
      globalThis.setTimeout = (act, after, ...more) => (globalThis.holds && after <= 100 ? held.push(act) : timer(act, after, ...more));
      globalThis.release = () => {
        globalThis.holds = false;
        held.splice(0).forEach((act) => act());
      };
    });
    let [asked, answer] = [() => {}, () => {}];
    const [isAsked, isAnswered] = [new Promise((done) => { asked = done; }), new Promise((done) => { answer = done; })];
    await page.route('**/numbers.js', async (route) => {
      asked();
      await isAnswered;
      await route.continue();
    });
    await logIn(page);
    await page.evaluate(() => {
      globalThis.holds = true;
      location.hash = '#/numbers';
    });
    await shows(page, '.loading', { state: 'attached' });
    // Only what fetches the scripts of all views can ask for it now.
    await isAsked;
    const fetched = page.waitForEvent('requestfinished', (request) => request.url().endsWith('/numbers.js'));
    answer();
    const url = (await fetched).url();
    await page.evaluate((it) => import(it), url);
    await page.evaluate(() => globalThis.release());
    await page.getByRole('heading', { name: 'Números', level: 1 }).waitFor();
    await opened.close();
  },

  async 'a voice note that this browser cannot play is told so, and can be saved'() {
    const opened = await context();
    const page = await opened.newPage();
    await page.addInitScript(() => {
      HTMLMediaElement.prototype.canPlayType = () => '';
    });
    await page.route('**/api/v1/**', async (route) => {
      if (!route.request().url().includes('/messages?')) return route.fallback();
      const answer = await route.fetch();
      const json = await answer.json();
      json.data[0].media = { state: 'stored', reason: null, url: '/api/v1/media/7/voice', content_type: 'audio/ogg', size: 9_000, filename: null };
      return route.fulfill({ response: answer, json });
    });
    await logIn(page);
    await page.goto(`${url}#/chat/7/573000000002%40c.us`);
    const note = page.locator('.bubble .file', { hasText: 'Este navegador' });
    await note.filter({ hasText: 'VLC' }).waitFor();
    assert.equal(await note.locator('a[download]').getAttribute('href'), '/api/v1/media/7/voice');
    assert.equal(await page.locator('audio').count(), 0);
    await opened.close();
  },

  async 'a search that has found nothing yet goes on'() {
    const opened = await context();
    const page = await opened.newPage();
    await page.route('**/api/v1/messages?**', async (route) => {
      const asked = new URL(route.request().url());
      if (!asked.searchParams.has('cursor')) return route.fulfill({ json: { data: [], next_cursor: 'later' } });
      asked.searchParams.delete('cursor');
      return route.continue({ url: asked.href });
    });
    await logIn(page);
    await page.goto(`${url}#/search`);
    await page.fill('#search-q', 'hola');
    await page.keyboard.press('Enter');
    await shows(page, 'a.hit');
    await opened.close();
  },

  async 'hostile texts are shown as text'() {
    const opened = await context();
    const page = await opened.newPage();
    await logIn(page);
    await page.goto(`${url}#/chat/7/573000000666%40c.us`);
    await page.getByText('<img src=x onerror=alert(1)>').first().waitFor();
    assert.equal(await page.locator('.bubble script, .bubble img[src=x], .bubble iframe').count(), 0);
    assert.equal(await page.locator('.bubble a[href^="javascript"], .bubble a[href^="data"]').count(), 0);
    assert.equal(await page.locator('.bubble strong', { hasText: 'bold' }).count(), 1);
    await opened.close();
  },

  async 'a long conversation is scrolled through in both directions with few messages on the page'() {
    const opened = await context({ viewport: { width: 360, height: 740 } });
    const page = await opened.newPage();
    await logIn(page);
    await page.goto(LONG);
    await shows(page, '.bubble');
    const seen = new Set(await numbers(page));
    const total = Math.max(...seen);
    for (const [edge, to] of [[1, 0], [total, 1e9]]) {
      for (let n = 0; n < 200; n++) {
        const list = await numbers(page);
        list.forEach((it) => seen.add(it));
        assert.ok(isGapless(list), `${list}`);
        assert.ok(list.length <= 300, `${list.length} messages are on the page`);
        if (list.includes(edge)) break;
        await page.$eval('.messages', (box, top) => { box.scrollTop = top; }, to);
        await page.waitForFunction((old) => document.querySelector('.row').dataset.key !== old[0] || [...document.querySelectorAll('.row')].pop().dataset.key !== old[1], [(await keys(page))[0], (await keys(page)).at(-1)]);
      }
      assert.ok((await numbers(page)).includes(edge), `${edge} is not reached`);
    }
    assert.equal(seen.size, total, 'each message was seen');
    await page.goto(`${LONG}/L300`);
    await shows(page, '#m-L300.marked');
    assert.ok(await page.locator('#m-L300').evaluate((it) => it.getBoundingClientRect().top > 0 && it.getBoundingClientRect().bottom < innerHeight));
    assert.ok(isGapless(await numbers(page)));
    await opened.close();
  },

  async 'what arrives does not move what is read, and is one press away'() {
    const opened = await context({ viewport: { width: 1440, height: 900 } });
    const page = await opened.newPage();
    await logIn(page);
    await page.goto(LONG);
    await shows(page, '.bubble');
    const total = Math.max(...(await numbers(page)));
    await page.$eval('.messages', (box) => { box.scrollTop = box.scrollHeight - box.clientHeight - 700; });
    const position = () => page.$eval('.messages', (box) => [...box.querySelectorAll('.row')].map((row) => [row.dataset.key, Math.round(row.getBoundingClientRect().top)]).find(([, top]) => top > 200));
    const before = await position();
    const now = Math.floor(Date.now() / 1000);
    for (let n = 1; n <= 20; n++) await deliver({ id: `L${total + n}`, chat_id: '573000000001@c.us', from: '573000000001@c.us', body: `nuevo ${n}`, timestamp: now });
    await page.locator('.pill', { hasText: '20 nuevos' }).waitFor();
    assert.deepEqual(await position(), before);
    await page.click('.pill');
    await page.waitForFunction((last) => document.querySelector(`#m-L${last}`)?.getBoundingClientRect().bottom < innerHeight, total + 20);
    assert.ok(isGapless(await numbers(page)));
    await page.locator('a.chat').first().filter({ hasText: 'nuevo 20' }).waitFor();
    // At the end, new ones are shown at once.
    await deliver({ id: `L${total + 21}`, chat_id: '573000000001@c.us', from: '573000000001@c.us', body: 'otro', timestamp: now + 1 });
    await page.waitForFunction((last) => document.querySelector(`#m-L${last}`)?.getBoundingClientRect().bottom < innerHeight, total + 21);
    await opened.close();
  },

  async 'two windows share one stream, and the second goes on when the first is closed'() {
    const opened = await context();
    const [one, two] = [await opened.newPage(), await opened.newPage()];
    const streams = [];
    opened.on('request', (request) => request.url().includes('/stream') && streams.push(request.url()));
    await logIn(one);
    await two.goto(url);
    await shows(two, 'a.chat');
    const live = async (page, id) => {
      await deliver({ id, chat_id: '573000000002@c.us', from: '573000000002@c.us', body: `vivo ${id}`, timestamp: Math.floor(Date.now() / 1000) });
      await page.locator('a.chat', { hasText: `vivo ${id}` }).waitFor();
    };
    await live(two, 'T1');
    assert.equal(streams.length, 1, `${streams}`);
    await one.close();
    await two.waitForEvent('request', { predicate: (request) => request.url().includes('/stream') });
    await live(two, 'T2');
    await opened.close();
  },

  async 'without a connection the page says so, and misses nothing when it is back'() {
    const opened = await context();
    const page = await opened.newPage();
    await logIn(page);
    await page.goto(`${url}#/chat/7/573000000002%40c.us`);
    await shows(page, '.bubble');
    await opened.setOffline(true);
    await page.reload({ timeout: 3000 }).catch(() => {});
    await opened.setOffline(false);
    await page.goto(`${url}#/chat/7/573000000002%40c.us`);
    await shows(page, '.bubble');
    // An answer that was under way says that there is a connection, so the page is made to ask until all of those are in.
    const asks = (isOffline) => page.waitForFunction((expected) => {
      dispatchEvent(new Event('online'));
      return Boolean(document.querySelector('.banner')) === expected;
    }, isOffline, { polling: 300 });
    await page.route('**/api/v1/**', (route) => route.abort());
    await asks(true);
    await page.unroute('**/api/v1/**');
    await asks(false);
    await deliver({ id: 'O1', chat_id: '573000000002@c.us', from: '573000000002@c.us', body: 'de vuelta', timestamp: Math.floor(Date.now() / 1000) });
    await page.locator('#m-O1').waitFor();
    await opened.close();
  },

  async 'the keyboard alone is enough'() {
    const opened = await context({ viewport: { width: 1440, height: 900 } });
    const page = await opened.newPage();
    await logIn(page);
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'find');
    await page.keyboard.type('000000001');
    await page.waitForFunction(() => document.querySelectorAll('a.chat').length === 1);
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await shows(page, '.bubble');
    await page.keyboard.press('Escape');
    await shows(page, '.choose');
    await opened.close();
  },

  async 'a session that ends leads to the login'() {
    const opened = await context();
    const page = await opened.newPage();
    await logIn(page);
    await page.getByRole('button', { name: 'Ajustes' }).click();
    await page.getByRole('button', { name: 'Salir' }).click();
    await shows(page, 'input[name=token]');
    assert.deepEqual(await opened.cookies(), []);
    await opened.close();
  },

  async 'an export is begun, waited for and saved, of everything and of one conversation'() {
    const opened = await context({ viewport: { width: 1440, height: 900 } });
    const page = await opened.newPage();
    await logIn(page);
    await page.getByRole('link', { name: 'Exportar' }).click();
    await page.getByLabel('Formato').selectOption('ndjson');
    const save = async () => {
      await page.getByRole('button', { name: 'Exportar' }).click();
      const [download] = await Promise.all([page.waitForEvent('download'), page.locator('a.file').click()]);
      const lines = (await readFile(await download.path(), 'utf8')).trim().split('\n');
      return [download.suggestedFilename(), lines.map((line) => JSON.parse(line))];
    };
    const [name, all] = await save();
    assert.equal(name, 'messages.ndjson');
    assert.ok(all.length > 900 && new Set(all.map((it) => it.chat_id)).size > 3, `${all.length}`);
    await page.goto(`${url}#/chat/7/573000000666%40c.us`);
    await page.getByRole('link', { name: 'Exportar' }).last().click();
    await page.getByText('Exportar de todas').waitFor();
    await page.getByLabel('Formato').selectOption('ndjson');
    await page.getByText(/^1 fila|^\d+ filas/).waitFor();
    const known = await page.locator('a.file').getAttribute('href');
    await page.getByRole('button', { name: 'Exportar' }).click();
    await page.waitForFunction((old) => document.querySelector('a.file') && document.querySelector('a.file').getAttribute('href') !== old, known);
    const [download] = await Promise.all([page.waitForEvent('download'), page.locator('a.file').click()]);
    const lines = (await readFile(await download.path(), 'utf8')).trim().split('\n').map((line) => JSON.parse(line));
    assert.deepEqual([...new Set(lines.map((it) => it.chat_id))], ['573000000666@c.us']);
    await opened.close();
  },

  async 'the owner is told what to do about backups'() {
    const opened = await context();
    const page = await opened.newPage();
    await logIn(page);
    await page.goto(`${url}#/health`);
    await page.getByText('buzon backup /mnt/backup/buzon --keep 14').waitFor();
    await opened.close();
  },
};

const scoped = {
  async 'scoped: nothing of another instance is shown in any view'() {
    const opened = await context();
    const page = await opened.newPage();
    await logIn(page);
    for (const view of VIEWS) {
      await page.goto(`${url}#/${view}`);
      if (view === 'search') {
        await page.fill('#search-q', 'hola');
        await page.keyboard.press('Enter');
        await shows(page, 'a.hit');
      }
      await loaded(page);
      const shown = await page.evaluate(() => document.body.innerText);
      assert.ok(!/573000000008|x\.example\/8|api-token|buzon doctor|backup|Formato/.test(shown), `${view}: ${shown}`);
    }
    assert.equal(await page.getByRole('link', { name: 'Exportar' }).count(), 0);
    await page.goto(`${url}#/chat/8/573000000008%40c.us`);
    await page.locator('.edge').waitFor();
    assert.equal(await page.locator('.bubble').count(), 0);
    await page.goto(`${url}#/chat/7/573000000007%40c.us`);
    await shows(page, '.bubble');
    await opened.close();
  },
};

await run(process.env.STEP === 'scoped' ? scoped : steps);
