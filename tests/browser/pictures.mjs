// Takes the pictures of the documents: node pictures.mjs URL WEBHOOK TOKEN SECRET FOLDER
// With ALL in the environment, takes every view at three widths, in both themes and three languages instead.
import assert from 'node:assert/strict';
import { context, loaded, logIn, pictures, run, shows, url, VIEWS } from './common.mjs';

/** The clock of the browser, so that the same messages are as old in each picture. */
const NOW = new Date('2026-12-01T15:00:00Z');
const CHAT = `${url}#/chat/${process.env.CHAT}`;

/** Opens a window at a place of the page, and waits until it is drawn. */
async function at(place, options) {
  const opened = await context(options);
  const page = await opened.newPage();
  await page.clock.setFixedTime(NOW);
  await logIn(page);
  await page.goto(place);
  await loaded(page);
  return { opened, page };
}

/** Waits until the pictures that are seen are drawn. */
const drawn = (page) => page.waitForFunction(() => [...document.querySelectorAll('img')].every((it) => it.complete || it.getBoundingClientRect().top > innerHeight));

const documents = {
  async 'the pictures of the documents'() {
    for (const [name, viewport, place] of [['dashboard', { width: 1100, height: 640 }, CHAT], ['dashboard-phone', { width: 360, height: 640 }, `${url}#/`]]) {
      const { opened, page } = await at(place, { viewport, deviceScaleFactor: name === 'dashboard' ? 1 : 2 });
      await shows(page, place === CHAT ? '.bubble' : 'a.chat');
      await page.mouse.move(0, 0);
      await drawn(page);
      const picture = await page.screenshot({ path: `${pictures}/${name}.png` });
      assert.ok(picture.length > 20_000);
      await opened.close();
    }
  },
};

const all = {
  async 'every view'() {
    for (const width of [360, 768, 1440]) {
      for (const colorScheme of ['light', 'dark']) {
        for (const locale of ['es-CO', 'en-GB', 'pt-BR']) {
          const { opened, page } = await at(url, { viewport: { width, height: width < 500 ? 740 : 900 }, colorScheme, locale });
          for (const view of [...VIEWS, 'chat', 'settings']) {
            if (view === 'settings') await page.locator('.settings > button').click().catch(() => {});
            else await page.goto(view === 'chat' ? CHAT : `${url}#/${view}`);
            if (view === 'search') {
              await page.fill('#search-q', 'pedido');
              await page.keyboard.press('Enter');
              await shows(page, 'a.hit');
            }
            if (view === 'chat') await shows(page, '.bubble');
            await loaded(page);
            await drawn(page);
            await page.screenshot({ path: `${pictures}/${view || 'inbox'}-${width}-${colorScheme}-${locale.slice(0, 2)}.png` });
            if (view === 'chat') await page.goto(`${url}#/`);
          }
          await opened.close();
        }
      }
    }
  },
};

await run(process.env.ALL ? all : documents);
