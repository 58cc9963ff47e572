// The page in a real browser: its views, and what somebody does with them.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { context, deliver, isGapless, keys, logIn, LONG, numbers, pictures, reader, run, scroll, show, shows, token, url, VIEWS, violations } from './common.mjs';

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

  async 'every view is accessible and fits, in both themes, three languages and three widths'() {
    const told = [];
    for (const [width, colorScheme, locale] of [[320, 'light', 'es-CO'], [360, 'light', 'es-CO'], [360, 'dark', 'pt-BR'], [768, 'dark', 'en-GB'], [1440, 'light', 'es-CO'], [1440, 'dark', 'es-CO']]) {
      const opened = await context({ viewport: { width, height: width < 500 ? 740 : 900 }, colorScheme, locale });
      const page = await opened.newPage();
      await logIn(page);
      for (const view of [...VIEWS, 'chat']) {
        await show(page, view);
        told.push(...(await violations(page, `${view} ${width} ${colorScheme} ${locale}`)));
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) told.push(`${view} at ${width} is ${wide} too wide`);
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
    for (const [edge, side] of [[1, 'older'], [total, 'newer']]) {
      for (let n = 0; n < 200; n++) {
        const list = await numbers(page);
        list.forEach((it) => seen.add(it));
        assert.ok(isGapless(list), `${list}`);
        assert.ok(list.length <= 300, `${list.length} messages are on the page`);
        if (list.includes(edge)) break;
        await scroll(page, side);
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

  async 'a message tells its times and who reacted, and gives its text and its address'() {
    const chat = '573000000777@c.us';
    await deliver({ event_type: 'message_sent', id: 'D1', chat_id: chat, from: '573009998877@c.us', to: chat, from_me: 1, body: 'va *en camino*', timestamp: Math.floor(Date.now() / 1000) });
    await deliver({ event_type: 'ack_update', id: 'D1', ack: 'read' });
    await deliver({ event_type: 'message_reaction', message_id: 'D1', from_number: chat, reaction: '👍', timestamp: Math.floor(Date.now() / 1000) });
    const { opened, page } = await reader(`${url}#/chat/7/${encodeURIComponent(chat)}`, { viewport: { width: 360, height: 740 }, permissions: ['clipboard-read', 'clipboard-write'] });
    await page.locator('#m-D1 .reactions').waitFor();
    await page.locator('#m-D1').getByRole('button', { name: 'Detalles' }).click();
    const details = page.locator('#m-D1').getByRole('group', { name: 'Detalles' });
    const shown = await details.innerText();
    for (const part of ['Enviado', 'Recibido por buzon', 'Leído', '👍', '+573000000777']) assert.ok(shown.includes(part), `${part}: ${shown}`);
    assert.deepEqual(await violations(page, 'details'), []);
    const copied = async (name) => {
      await page.evaluate(() => navigator.clipboard.writeText('nothing'));
      await details.getByRole('button', { name }).click();
      await page.waitForFunction(async () => (await navigator.clipboard.readText()) !== 'nothing');
      return page.evaluate(() => navigator.clipboard.readText());
    };
    assert.equal(await copied('Copiar texto'), 'va *en camino*');
    const address = await copied('Copiar enlace');
    await details.getByText('Copiado').waitFor();
    await page.goto('about:blank');
    await page.goto(address);
    await shows(page, '#m-D1.marked');
    await opened.close();
  },

  async 'at twice the size nothing is cut off or beyond the edge'() {
    const told = [];
    for (const viewport of [{ width: 640, height: 400 }, { width: 384, height: 512 }]) {
      const { opened, page } = await reader(undefined, { viewport, deviceScaleFactor: 2 });
      for (const view of [...VIEWS, 'chat']) {
        await show(page, view);
        const found = await page.evaluate(() => {
          const scrolls = (it) => it && (/auto|scroll/.test(getComputedStyle(it).overflowX) || scrolls(it.parentElement));
          const wrong = [];
          if (document.documentElement.scrollWidth > innerWidth) wrong.push('it scrolls sideways');
          for (const it of document.querySelectorAll('button, a, input, select, h1, h2, label')) {
            const { left, right, width } = it.getBoundingClientRect();
            const style = getComputedStyle(it);
            const says = `${it.tagName} ${it.className} ${it.textContent?.slice(0, 30)}`;
            if (width > 1 && (left < -1 || right > innerWidth + 1) && !scrolls(it.parentElement)) wrong.push(`beyond the edge: ${says}`);
            if (width > 1 && it.matches('button, .button') && style.overflowX !== 'visible' && it.scrollWidth > it.clientWidth + 1) wrong.push(`cut off: ${says}`);
          }
          const box = ['.messages', '.scroll', '.chats'].map((it) => document.querySelector(it)).find((it) => it);
          if (!box || box.clientHeight < 80) wrong.push(`only ${box?.clientHeight} pixels are left to read in`);
          return wrong;
        });
        told.push(...found.map((it) => `${view} ${viewport.width}: ${it}`));
        if (pictures) await page.screenshot({ path: `${pictures}/${view || 'inbox'}-zoom-${viewport.width}.png` });
      }
      await opened.close();
    }
    assert.deepEqual(told, []);
  },

  async 'a browser that cannot play voice notes says so, names a player and saves the file'() {
    const opened = await context();
    await opened.addInitScript(() => {
      const can = HTMLMediaElement.prototype.canPlayType;
      HTMLMediaElement.prototype.canPlayType = function (type) {
        return /opus/.test(type) ? '' : can.call(this, type);
      };
    });
    const page = await opened.newPage();
    // What is saved comes from the service: any of its answers does.
    await page.route('**/messages?*', async (route) => {
      const answer = await route.fetch();
      const all = await answer.json();
      all.data.forEach((it) => Object.assign(it, { type: 'ptt', body: null, media: { state: 'stored', url: '/api/v1/session', content_type: 'audio/ogg; codecs=opus', filename: null, size: 4 } }));
      await route.fulfill({ response: answer, json: all });
    });
    await logIn(page);
    await page.goto(`${url}#/chat/7/573000000002%40c.us`);
    const note = page.locator('.bubble .file').first();
    await note.getByText('VLC').waitFor();
    assert.equal(await page.locator('audio').count(), 0);
    const [download] = await Promise.all([page.waitForEvent('download'), note.getByRole('link', { name: 'Guardar' }).click()]);
    assert.ok((await readFile(await download.path(), 'utf8')).includes('time_zone'));
    await opened.close();
  },

  async 'a screen reader meets a list under the heading of each day, names of authors and a live region'() {
    const { opened, page } = await reader(LONG);
    await shows(page, '.bubble');
    const session = await opened.newCDPSession(page);
    const { nodes } = await session.send('Accessibility.getFullAXTree');
    const shown = nodes.filter((it) => !it.ignored);
    const of = (role) => shown.filter((it) => it.role?.value === role);
    const level = (it) => it.properties.find((property) => property.name === 'level')?.value.value;
    const rows = await page.locator('.row').count();
    assert.equal(of('heading').filter((it) => level(it) === 2).length, await page.locator('.daily').count());
    assert.equal(of('article').length, rows);
    assert.ok(of('article').every((it) => /^.+, .*\d/.test(it.name.value)), 'each message has an author and a time as its name');
    assert.ok(of('listitem').length >= rows, 'each message is in a list');
    assert.equal(of('group').filter((it) => it.name.value.startsWith('Mensajes')).length, 1);
    assert.ok(of('navigation').length === 1 && of('main').length === 1);
    assert.ok(nodes.some((it) => it.properties?.some((property) => property.name === 'live' && property.value.value === 'polite')), 'there is a live region');
    await opened.close();
  },

  async 'without motion nothing turns, and with forced colours every view can be used'() {
    const { opened, page } = await reader(undefined, { reducedMotion: 'reduce', forcedColors: 'active' });
    for (const view of [...VIEWS, 'chat']) {
      await show(page, view);
      const moving = await page.evaluate(() => document.getAnimations().filter((it) => it.playState === 'running').length);
      assert.equal(moving, 0, view);
      if (pictures) await page.screenshot({ path: `${pictures}/${view || 'inbox'}-forced.png` });
    }
    const chosen = await page.goto(`${url}#/`).then(() => page.locator('.chip[aria-pressed=true]').first().evaluate((it) => getComputedStyle(it).backgroundColor));
    const other = await page.locator('.chip[aria-pressed=false]').first().evaluate((it) => getComputedStyle(it).backgroundColor);
    assert.notEqual(chosen, other, 'what is chosen can be told from the rest');
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
      await show(page, view);
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
