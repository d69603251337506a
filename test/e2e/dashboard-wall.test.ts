import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StreamReport } from '../../src/protocol/report.ts';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { LiveDouble } from '../support/live-double.ts';
import { openGateway } from '../support/open-gateways.ts';

describe.skipIf(browserPath === undefined)(browserTitle('the wall'), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  it('gives most of a tile to its picture, and keeps tiles where they are', async () => {
    for (const count of [1, 4, 16]) {
      const port = await LiveDouble.create(count);
      const { url } = await openGateway(port);
      const { page } = await visit(browser, url);
      await page.setViewportSize({ width: 1280, height: 800 });
      const tiles = page.locator('.wall-tile');
      await until(async () => (await tiles.count()) === count);
      const tile = (await tiles.last().boundingBox())!;
      const picture = (await tiles.last().locator('.view').boundingBox())!;
      expect(picture.height / tile.height).toBeGreaterThan(0.84);
      // All of them are in view, as large as they can be.
      expect(tile.y + tile.height).toBeLessThanOrEqual(800);
      const order = await tiles.evaluateAll((nodes) => nodes.map((node) => node.getAttribute('data-stream')));
      const gate = port.report().streams[0]!;
      port.put({ ...gate, state: 'failed', lastError: 'gone' });
      port.tick();
      await until(() => tiles.first().locator('.veil').isVisible());
      expect(await tiles.evaluateAll((nodes) => nodes.map((node) => node.getAttribute('data-stream')))).toEqual(order);
      await page.close();
    }
  });

  it('says once how all cameras are: calm, a camera that is blind, or a machine that cannot keep up', async () => {
    const port = await LiveDouble.create(4);
    const { url } = await openGateway(port);
    const { page, complaints } = await visit(browser, url);
    const said = (): Promise<string> => page.locator('.state-said').textContent().then(String);
    const put = (change: Partial<StreamReport>, ids: readonly string[]): void => {
      for (const stream of port.report().streams) if (ids.includes(stream.id)) port.put({ ...stream, ...change });
      port.tick();
    };
    const all = port.report().streams.map(({ id }) => id);
    put({ isMissing: { fps: false, latency: false } }, all);
    await until(async () => /All 4 cameras watching/.test(await said()));
    expect(await page.locator('#attention').isHidden()).toBe(true);

    put({ state: 'reconnecting', lastError: 'refused', lastErrorAtMs: port.timeMs }, ['dock-1']);
    await until(async () => /1 of 4 cameras is blind +dock-1/.test(await said()));
    const veil = page.locator('[data-stream="dock-1"] .veil');
    expect(await veil.textContent()).toMatch(/^No picture since \d\d:\d\drefusedIt is tried again\.$/);
    // Figures of a camera that sends nothing would look current.
    expect(await page.locator('[data-stream="dock-1"] .bar').textContent()).toBe('dock-1');

    // A camera that sends pictures and sees nothing: its picture stays, with why and since when.
    const sinceMs = new Date(2026, 2, 1, 14, 3).getTime();
    put({ state: 'running', lastError: null, sign: { name: 'black', sinceMs } }, ['dock-1']);
    await until(async () => /1 of 4 cameras is blind +dock-1 \(black since 14:03\)/.test(await said()));
    const dock = page.locator('[data-stream="dock-1"]');
    expect([await dock.locator('.sign').textContent(), await veil.isHidden()]).toEqual(['Black since 14:03', true]);
    expect(await dock.locator('.tile-latency').textContent()).toBe('');
    put({ sign: null }, ['dock-1']);
    await until(() => dock.locator('.sign').isHidden());
    put({ state: 'reconnecting', lastError: 'refused', lastErrorAtMs: port.timeMs }, ['dock-1']);

    port.host = { ...port.host, bottleneck: 'infer', busyRatio: { ...port.host.busyRatio, infer: 0.99 } };
    const slow = { fps: { in: 25, inferred: 4, published: 4 }, target: { fps: 24, latencyMs: null } };
    put({ ...slow, isMissing: { fps: true, latency: false } }, ['gate-1', 'yard-1', 'lobby-1']);
    await until(async () => /Detection cannot keep up/.test(await said()));
    expect(await said()).toMatch(/You ask 72\.0 frames\/s, this machine does 12\.0\. Also: 1 of 4 cameras is blind/);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('lowers the rates of an overloaded machine to what it does, and gives each camera its own again', async () => {
    const port = await LiveDouble.create(4);
    const { url } = await openGateway(port);
    const { page, complaints } = await visit(browser, url);
    port.host = { ...port.host, bottleneck: 'infer', busyRatio: { ...port.host.busyRatio, infer: 0.99 } };
    const fps = { in: 24, inferred: 4, published: 4 };
    port.settings.set('gate-1', { target: { fps: 24 } });
    for (const stream of port.report().streams)
      port.put({ ...stream, fps, isMissing: { fps: true, latency: false }, target: { fps: 24, latencyMs: null } });
    // 95 % of the 16 frames per second, for four cameras, as soon as what it did before is forgotten.
    const lower = page.locator('button:text("Lower rate to 3.8/s")');
    await until(() => {
      port.tick();
      return lower.isVisible();
    });
    await lower.click();
    const changes = (): string[] => port.calls.filter((call) => call.startsWith('change'));
    await until(() => changes().length === 4);
    expect(changes()[0]).toBe(`change gate-1 ${JSON.stringify({ maxFps: 3.8, target: { fps: 3.8 } })}`);
    const undo = page.locator('button:text("Undo: rates")');
    // One that is gone holds nothing back.
    await port.removeStream('dock-1');
    await undo.click();
    await until(() => changes().length === 7);
    expect(changes().slice(4)).toContain(`change gate-1 ${JSON.stringify({ maxFps: null, target: { fps: 24 } })}`);
    await until(async () => !(await undo.isVisible()));

    // Decoding does not get less at a lower rate.
    port.host = { ...port.host, bottleneck: 'decode', busyRatio: { ...port.host.busyRatio, decode: 1 } };
    port.tick();
    await until(async () => (await page.locator('#state-title').textContent()) === 'Decoding cannot keep up');
    expect(await lower.isVisible()).toBe(false);
    // The one that is gone, as Chromium says it.
    expect(complaints).toEqual([expect.stringContaining('404')]);
    await page.close();
  });

  it('says that a camera of the address is not there, and shows the others', async () => {
    const port = await LiveDouble.create(2);
    const { url } = await openGateway(port);
    const { page, complaints } = await visit(browser, `${url}/#stream=${'gone'.repeat(20)}`);
    await until(() => page.locator('[data-stream="gate-1"]').isVisible());
    expect(await page.locator('.toast').textContent()).toMatch(/There is no camera "gonegone/);
    await until(() => port.watched.has('gate-1'));
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows the figures of all cameras in one table that F opens and any column sorts', async () => {
    const port = await LiveDouble.create(12);
    const { url } = await openGateway(port);
    const { page, complaints } = await visit(browser, url);
    await page.waitForSelector('[data-stream="gate-1"]');
    await page.keyboard.press('f');
    port.step();
    const rows = page.locator('#figures tbody tr');
    await until(async () => (await rows.count()) === 12);
    expect(await page.locator('#wall').isVisible()).toBe(false);
    for (const { id, frames } of port.report().streams) {
      const cells = await page.locator(`[data-row="${id}"] :is(th, td)`).allTextContents();
      const numbers = cells.map((text) => Number(text.replaceAll(',', '')));
      const dropped = Object.values(frames.dropped).reduce((sum, count) => sum + count, 0);
      const [published, inFlight] = [frames.published, frames.inFlight];
      expect([numbers[7], numbers[8], numbers[9], numbers[11]]).toEqual([frames.in, published, dropped, inFlight]);
      expect(frames.in).toBe(published + dropped + inFlight);
    }
    const first = (): Promise<string | null> => rows.first().getAttribute('data-row');
    expect(await first()).toBe('gate-1');
    await page.click('#figures thead button:text("Dropped")');
    await until(async () => (await first()) === 'dock-1');
    expect(await page.locator('#figures [aria-sort]').getAttribute('aria-sort')).toBe('descending');
    await page.click('#figures thead button:text("Camera")');
    await until(async () => (await first()) === 'bridge-1');
    expect(await page.locator('[data-row="store-1"] [data-bad]').first().textContent()).toBe('No picture');
    await page.keyboard.press('f');
    await until(() => page.locator('#wall').isVisible());
    expect(complaints).toEqual([]);
    await page.close();
  });
});
