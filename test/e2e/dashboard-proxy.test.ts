import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { LiveDouble } from '../support/live-double.ts';
import { openWholeGateway } from '../support/open-gateways.ts';
import { openProxy } from '../support/path-proxy.ts';

/** Set to a folder to keep pictures of the pages. */
const PICTURES = process.env.SCREENSHOTS;
const TOKEN = 'a-token-of-twenty-characters';

describe.skipIf(browserPath === undefined)(browserTitle('the dashboard behind a proxy'), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  it.each([
    ['passes the path on', { basePath: '/cams' }, { path: '/cams' }],
    ['removes the path', {}, { path: '/cams', removesPath: true }],
  ])('that %s: signs in below the path, shows streams, pictures and details', async (_, options, proxy) => {
    const port = await LiveDouble.create(2);
    const { url } = await openWholeGateway(port, { ...options, token: TOKEN });
    const origin = await openProxy(url, proxy);
    const { page, complaints } = await visit(browser, `${origin}/cams/`);
    // Without a token the page itself is refused, and Chromium says so.
    expect(complaints.splice(0)).toEqual([expect.stringContaining('401')]);
    await page.fill('#token', TOKEN);
    await page.keyboard.press('Enter');
    await page.waitForSelector('[data-stream="gate-1"]');
    expect(page.url()).toBe(`${origin}/cams/`);
    await until(() => port.watched.has('gate-1'));
    port.showPictures();
    await page.click('[data-stream="gate-1"]');
    await page.waitForSelector('#focus form.settings input[name="maxFps"]', { state: 'attached' });
    if (PICTURES !== undefined) await page.screenshot({ path: `${PICTURES}/proxy.png` });
    expect(complaints).toEqual([]);
    await page.click('#sign-out');
    await page.waitForSelector('#token');
    await page.context().close();
  });

  it('that sends another Host: says that the page is refused, and what to set, and asks no more', async () => {
    const port = await LiveDouble.create(2);
    const { url } = await openWholeGateway(port);
    const origin = await openProxy(url, { path: '/', changesHost: true });
    const { page } = await visit(browser, `${origin}/`);
    await until(async () => (await page.textContent('#connection')) === 'Refused');
    await page.fill('#filter', 'gate');
    expect(await page.textContent('#empty')).toContain(`List "${origin}" in gateway.allowedOrigins`);
    expect(await page.isVisible('#empty')).toBe(true);
    for (const width of [1280, 390]) {
      await page.setViewportSize({ width, height: 800 });
      expect(await page.textContent('#empty'), `${width} px wide`).toContain('gateway.allowedOrigins');
      if (PICTURES !== undefined) await page.screenshot({ path: `${PICTURES}/refused-${width}.png` });
    }
    await page.context().close();
  });
});
