// The page behind a proxy with TLS.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { context, deliver, firstView, logIn, run, shows, url, violations } from './common.mjs';

const steps = {
  async 'somebody logs in over TLS, reads, follows, exports and logs out'() {
    const opened = await context({ viewport: { width: 1440, height: 900 } });
    const page = await opened.newPage();
    await logIn(page);
    const [cookie, ...others] = await opened.cookies();
    assert.deepEqual([cookie.name, cookie.secure, cookie.httpOnly, cookie.sameSite, cookie.path], ['__Host-buzon', true, true, 'Strict', '/']);
    assert.deepEqual(others, []);
    await page.goto(`${url}#/chat/7/573001112233%40c.us`);
    await shows(page, '.bubble');
    await deliver({ id: 'LIVE', chat_id: '573001112233@c.us', from: '573001112233@c.us', body: 'en vivo', timestamp: Math.floor(Date.now() / 1000) });
    await page.locator('#m-LIVE').waitFor();
    for (const view of ['waiting', 'search', 'gallery', 'numbers', 'health', 'exports']) {
      await page.goto(`${url}#/${view}`);
      assert.deepEqual(await violations(page, view), []);
      assert.equal(await page.getByRole('alert').count(), 0, view);
    }
    await page.getByLabel('Formato').selectOption('csv');
    await page.getByRole('button', { name: 'Exportar' }).click();
    const [download] = await Promise.all([page.waitForEvent('download'), page.locator('a.file').click()]);
    assert.ok((await readFile(await download.path(), 'utf8')).includes('en vivo'));
    await page.getByRole('button', { name: 'Ajustes' }).click();
    await page.getByRole('button', { name: 'Salir' }).click();
    await shows(page, 'input[name=token]');
    assert.deepEqual(await opened.cookies(), []);
    await opened.close();
  },

  async 'the first view over a slow line'() {
    for (const latency of [150, 400]) await firstView(latency);
  },
};

await run(steps);
