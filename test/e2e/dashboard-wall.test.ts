import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OverloadReport, Remedy } from '../../src/wire/protocol/overload.ts';
import type { StreamReport } from '../../src/wire/protocol/report.ts';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { LiveDouble } from '../support/live-double.ts';
import { openWholeGateway } from '../support/open-gateways.ts';

const RATE: Remedy = {
  kind: 'rate',
  text: 'lower the rate to 3.8 frames/s',
  fps: 15.2,
  streamFps: 3.8,
  isEstimate: false,
  basis: 'what this host infers now',
  changes: [
    {
      streams: ['gate-1', 'yard-1', 'lobby-1', 'dock-1'],
      body: { maxFps: 3.8 },
      undo: { maxFps: null },
    },
  ],
};
const OVERLOAD: OverloadReport = {
  sinceMs: 0,
  stage: 'infer',
  askedFps: 72,
  doneFps: 12,
  text: 'Detection cannot keep up: you ask 72 frames/s, this machine does 12: lower the rate to 3.8 frames/s.',
  remedies: [RATE],
};

describe.skipIf(browserPath === undefined)(browserTitle('the wall'), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  it('gives most of a tile to its picture, and keeps tiles where they are', async () => {
    for (const count of [1, 4, 16]) {
      const port = await LiveDouble.create(count);
      const { url } = await openWholeGateway(port);
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
    const { url } = await openWholeGateway(port);
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

    port.host = { ...port.host, overload: OVERLOAD };
    put({}, ['gate-1']);
    await until(async () => /Detection cannot keep up/.test(await said()));
    expect(await said()).toMatch(/You ask 72 frames\/s, this machine does 12\. Also: 1 of 4 cameras is blind/);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('keeps trouble in sight of a wall that is longer than the window, and begins at its top', async () => {
    const port = await LiveDouble.create(60);
    const { url } = await openWholeGateway(port);
    const { page } = await visit(browser, url);
    port.host = { ...port.host, overload: OVERLOAD };
    port.tick();
    await until(() => page.locator('button:text("Lower rate to 3.8/s")').isVisible());
    const top = async (): Promise<number> => (await page.locator('#state').boundingBox())!.y;
    const scrolled = (): Promise<number> => page.evaluate('scrollY');
    const [before, bar] = [await top(), (await page.locator('header.top').boundingBox())!.height];
    await page.evaluate('scrollTo(0, 9999)');
    await until(async () => (await scrolled()) > 200);
    expect(await top()).toBeCloseTo(bar, 0);
    await page.click('#tabs a[data-tab="wall"]');
    await until(async () => (await scrolled()) === 0);
    expect(await top()).toBe(before);
    await page.close();
  });

  it('lowers the rates of an overloaded machine to what it does, and gives each camera its own again', async () => {
    const port = await LiveDouble.create(4);
    const { url } = await openWholeGateway(port);
    const { page, complaints } = await visit(browser, url);
    port.host = { ...port.host, overload: OVERLOAD };
    port.tick();
    const lower = page.locator('button:text("Lower rate to 3.8/s")');
    await until(() => lower.isVisible());
    expect(await lower.getAttribute('title')).toBe('lower the rate to 3.8 frames/s (what this host infers now)');
    // Figures that change a little do not replace what somebody is about to click.
    await lower.evaluate((node) => node.setAttribute('data-same', ''));
    port.host = { ...port.host, overload: { ...OVERLOAD, remedies: [{ ...RATE, streamFps: 3.7 }] } };
    port.tick();
    await until(async () => (await page.locator('button[data-same]').textContent()) === 'Lower rate to 3.7/s');
    port.host = { ...port.host, overload: OVERLOAD };
    port.tick();
    await until(() => lower.isVisible());
    await lower.click();
    const changes = (): string[] => port.calls.filter((call) => call.startsWith('change'));
    await until(() => changes().length === 4);
    expect(changes()[0]).toBe(`change gate-1 ${JSON.stringify({ maxFps: 3.8 })}`);
    // The host says what was lowered: to this page, and to every other one, also after it was loaded again.
    const undone = RATE.changes.map(({ streams, body, undo: before }) => ({ streams, body: before, undo: body }));
    port.host = { ...port.host, overload: OVERLOAD, lowered: { sinceMs: port.timeMs, undo: undone } };
    port.tick();
    const undo = page.locator('button:text("Undo: as before")');
    await until(() => undo.isVisible());
    expect(await lower.isVisible()).toBe(false);
    await page.reload();
    await until(() => undo.isVisible());
    // One that is gone holds nothing back.
    await port.removeStream('dock-1');
    await undo.click();
    await until(() => changes().length === 7);
    expect(changes().slice(4)).toContain(`change gate-1 ${JSON.stringify({ maxFps: null })}`);
    const { lowered: _undone, ...host } = port.host;
    port.host = host;
    port.tick();
    await until(async () => !(await undo.isVisible()));

    // What is short says what helps.
    const text = 'Decoding cannot keep up: you ask 96 frames/s, this machine does 16.';
    const key = { streams: ['gate-1'], body: { decode: 'key' }, undo: { decode: 'all' } } as const;
    const remedies: Remedy[] = [
      { ...RATE, kind: 'decode', changes: [key] },
      { ...RATE, kind: 'model', changes: [], model: 'picodet-s' },
    ];
    port.host = { ...port.host, overload: { ...OVERLOAD, stage: 'decode', text, remedies } };
    port.tick();
    await until(async () => (await page.locator('#state-title').textContent()) === 'Decoding cannot keep up');
    await until(() => page.locator('button:text("Use picodet-s: 3.8/s")').isVisible());
    expect(await page.locator('#state-text').textContent()).toBe('You ask 96 frames/s, this machine does 16.');
    // An operator starts no roll-out, so that way is said.
    await page.evaluate("document.body.dataset.role = 'operator'");
    port.tick();
    const said = 'You ask 96 frames/s, this machine does 16: lower the rate to 3.8 frames/s.';
    await until(async () => (await page.locator('#state-text').textContent()) === said);
    expect(await page.locator('button:text("Use picodet-s")').isVisible()).toBe(false);
    await page.locator('button:text("Decode key frames")').click();
    await until(() => changes().includes(`change gate-1 ${JSON.stringify({ decode: 'key' })}`));
    // The one that is gone, as Chromium says it.
    expect(complaints).toEqual([expect.stringContaining('404')]);
    await page.close();
  });

  it('says that a camera of the address is not there, and shows the others', async () => {
    const port = await LiveDouble.create(2);
    const { url } = await openWholeGateway(port);
    const { page, complaints } = await visit(browser, `${url}/#stream=${'gone'.repeat(20)}`);
    await until(() => page.locator('[data-stream="gate-1"]').isVisible());
    expect(await page.locator('.toast').textContent()).toMatch(/There is no camera "gonegone/);
    await until(() => port.watched.has('gate-1'));
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows the figures of all cameras in one table that F opens and any column sorts', async () => {
    const port = await LiveDouble.create(12);
    const { url } = await openWholeGateway(port);
    const { page, complaints } = await visit(browser, url);
    await page.waitForSelector('[data-stream="gate-1"]');
    await page.keyboard.press('f');
    port.step();
    const rows = page.locator('#figures tbody tr');
    await until(async () => (await rows.count()) === 12);
    expect(await page.locator('#wall').isVisible()).toBe(false);
    for (const { id, frames } of port.report().streams) {
      const shown = async (): Promise<number[]> => {
        const cells = await page.locator(`[data-row="${id}"] :is(th, td)`).allTextContents();
        return [7, 8, 9, 11].map((column) => Number(cells[column]!.replaceAll(',', '')));
      };
      const dropped = Object.values(frames.dropped).reduce((sum, count) => sum + count, 0);
      const { published, inFlight } = frames;
      await expect.poll(shown).toEqual([frames.in, published, dropped, inFlight]);
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

  it('goes on with pictures after one that was to be decoded when it was left', async () => {
    const port = await LiveDouble.create(1);
    const { url } = await openWholeGateway(port);
    const { page, complaints } = await visit(browser, url);
    const shown = await page.evaluate(`(async () => {
      const { PictureView } = await import('./overlay.js');
      const canvas = document.createElement('canvas');
      const blob = await new Promise((resolve) => canvas.toBlob(resolve, 'image/jpeg'));
      const jpeg = new Uint8Array(await blob.arrayBuffer());
      const picture = { stream: 'gate-1', frame: 0, ptsUs: 0, width: 300, height: 150, detections: [], jpeg };
      const view = new PictureView();
      const left = view.show(picture);
      view.destroy();
      await left;
      await view.show(picture);
      return view.node.dataset.hasPicture;
    })()`);
    expect(shown).toBe('true');
    expect(complaints).toEqual([]);
    await page.close();
  });
});
