import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EventKind } from '../../src/wire/protocol/feed.ts';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { LiveDouble } from '../support/live-double.ts';
import { openWholeGateway } from '../support/open-gateways.ts';

describe.skipIf(browserPath === undefined)(browserTitle('what is past, on the dashboard'), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  /** Painted pixels of a chart in a part of its width, 0 to 1. */
  function paintedPart(page: Page, chart: string, from: number, to: number): Promise<number> {
    return page
      .locator(`${chart} .chart canvas`)
      .first()
      .evaluate(
        (node, part) => {
          const canvas = node as unknown as Canvas;
          const [left, width] = [part.from * canvas.width, (part.to - part.from) * canvas.width];
          const { data } = canvas.getContext('2d').getImageData(left, 0, width, canvas.height - 30);
          let painted = 0;
          // The filled area under the line: bluish, and not as pale as the grid.
          for (let i = 0; i < data.length; i += 4) if (data[i + 3]! > 20 && data[i + 2]! > data[i]! + 60) painted += 1;
          return painted;
        },
        { from, to },
      );
  }

  it('charts are full after the page is loaded, with the minutes before', async () => {
    const port = await LiveDouble.create(1);
    const { url } = await openWholeGateway(port);
    for (let i = 0; i < 170; i++) port.step();
    const { page, complaints } = await visit(browser, `${url}/#stream=gate-1/figures`);
    for (let i = 0; i < 2; i++) {
      await page.click('.charts button:text("3 min")');
      port.tick();
      // Two minutes ago the page did not exist.
      await until(async () => (await paintedPart(page, '[data-camera="gate-1"]', 0.3, 0.4)) > 100);
      await page.reload();
    }
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('a focused stream shows its last hour and its own events only', async () => {
    const port = await LiveDouble.create(3);
    const { url } = await openWholeGateway(port);
    for (let i = 0; i < 3500; i++) port.step();
    const emit = (stream: string, message: string): void =>
      port.emitEvent({ type: 'event', timeMs: Date.now(), kind: 'stream-warning', stream, message });
    emit('gate-1', 'before');
    emit('yard-1', 'of another stream');
    const { page, complaints } = await visit(browser, `${url}/#stream=gate-1/figures`);
    await page.waitForSelector('#focus:not([hidden]) .charts');
    await until(async () => (await paintedPart(page, '.charts', 0.3, 0.4)) > 100);
    await page.click('[data-camera-tab="events"]');
    const texts = page.locator('#focus .events .event-text');
    await until(async () => (await texts.count()) === 1);
    emit('yard-1', 'also of another stream');
    emit('gate-1', 'now');
    await until(async () => (await texts.allTextContents()).join() === 'gate-1 now,gate-1 before');
    await page.keyboard.press('Escape');
    await until(() => page.locator('#focus').isHidden());
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('an address that names no camera, or is cut off, says so and shows the wall', async () => {
    const port = await LiveDouble.create(1);
    const { url } = await openWholeGateway(port);
    for (const [hash, name] of [
      ['#stream=no%20such', 'no such'],
      ['#stream=gate%2', 'gate%2'],
    ] as const) {
      const { page, complaints } = await visit(browser, `${url}/${hash}`);
      await until(async () => (await page.locator('.toast').allTextContents()).join().includes(`camera "${name}"`));
      await page.waitForSelector('[data-stream="gate-1"]:visible');
      expect(complaints).toEqual([]);
      await page.close();
    }
  });

  it('settings are changed in place, and a fault is shown at its field', async () => {
    const port = await LiveDouble.create(1);
    const { url } = await openWholeGateway(port);
    const { page } = await visit(browser, `${url}/#stream=gate-1/settings`);
    const field = (key: string) => page.locator(`.settings [name="${key}"]`);
    const apply = page.locator('.settings button[type="submit"]');
    await until(async () => (await field('target.fps').inputValue()) === '24');

    await apply.click();
    await until(async () => (await page.locator('.form-done').textContent()) === 'Nothing was changed.');
    await field('target.fps').fill('20');
    await field('maxFps').fill('22.5');
    await apply.click();
    await until(async () => (await page.locator('.form-done').textContent()) === 'Saved.');
    // Only what differs: the gateway merges sections.
    const change = { maxFps: 22.5, target: { fps: 20 } };
    expect(port.calls.filter((call) => call.startsWith('change'))).toEqual([`change gate-1 ${JSON.stringify(change)}`]);

    // As the gateway refuses settings: with every fault and its place.
    const message =
      'stream "gate-1": every: expected a whole number from 1 to 1000, received "often" (string); ' +
      'target.fps: expected a number from 0.1 to 1000, received 9000 (number); priority: expected less';
    await page.route('**/api/streams/gate-1', (route) =>
      route.request().method() === 'PATCH'
        ? route.fulfill({ status: 400, json: { error: { code: 'CONFIG_INVALID', message } } })
        : route.continue(),
    );
    await field('every').fill('often');
    await field('target.fps').fill('9000');
    await page.keyboard.press('Enter');
    const errorAt = (key: string) => page.locator(`.field:has([name="${key}"]) .field-error`);
    await until(async () => (await errorAt('target.fps').textContent()) !== '');
    expect(await errorAt('target.fps').textContent()).toBe(
      'expected a number from 0.1 to 1000, received 9000 (number)',
    );
    expect(await errorAt('every').textContent()).toMatch(/^expected a whole number/);
    expect(await page.locator('.settings .form-error').textContent()).toBe('priority: expected less');
    expect(await field('every').getAttribute('aria-invalid')).toBe('true');
    expect(await field('maxFps').getAttribute('aria-invalid')).toBeNull();
    // What was typed stays.
    expect(await field('target.fps').inputValue()).toBe('9000');
    await page.close();
  });

  it('thresholds and labels are changed, and nothing else is sent of the tracker; an empty field is unset', async () => {
    const port = await LiveDouble.create(1);
    const { url } = await openWholeGateway(port);
    const corners = [
      [0, 0],
      [1, 0],
      [1, 1],
    ];
    const settings = {
      source: 'rtsp://***@camera.example/1',
      maxFps: 10,
      every: 1,
      track: { lowScore: 0.1, highScore: 0.5, newScore: 0.6, minHits: 4 },
      zones: [
        { id: 'door', polygon: corners, anchor: 'center', labels: ['person'] },
        { id: 'yard', polygon: corners, anchor: 'bottom-center' },
      ],
      lines: [{ id: 'gate', from: [0, 0], to: [1, 1], anchor: 'center', bandRatio: 0.1 }],
    };
    const sent: unknown[] = [];
    const { page } = await visit(browser, url);
    await page.route('**/api/streams/gate-1', async (route) => {
      if (route.request().method() === 'PATCH') sent.push(route.request().postDataJSON());
      const report = port.report().streams[0]!;
      await route.fulfill({ json: { ...report, settings } });
    });
    await page.goto(`${url}/#stream=gate-1`);
    const chips = (key: string) => page.locator(`.field:has([name="${key}"]) .chips li`);
    const field = (key: string) => page.locator(`.settings [name="${key}"]`);
    const apply = async (): Promise<void> => {
      const before = sent.length;
      await page.click('.settings button[type="submit"]');
      await until(() => sent.length > before);
      await until(async () => (await page.locator('.form-done').textContent()) === 'Saved.');
    };
    await until(async () => (await chips('zones[0].labels').count()) === 1);
    expect(await chips('zones[0].labels').textContent()).toMatch(/^person/);
    expect(await field('maxFps').inputValue()).toBe('10');
    await page.click('[data-place="zones[1]"] .place-pick');
    await field('zones[1].labels').fill('car, truck');
    await apply();
    await page.click('[data-place="lines[0]"] .place-pick');
    await field('lines[0].labels').fill(' person ,');
    await page.click('[data-camera-tab="settings"]');
    await field('track.newScore').fill('0.7');
    await field('maxFps').fill('');
    await apply();
    expect(sent).toEqual([
      { zones: [settings.zones[0], { ...settings.zones[1], labels: ['car', 'truck'] }] },
      {
        maxFps: null,
        track: { newScore: 0.7 },
        lines: [{ ...settings.lines[0], labels: ['person'] }],
      },
    ]);
    await page.close();
  });

  it('events have a date, are found by text and kind, and crossings do not push out the others', async () => {
    const port = await LiveDouble.create(1);
    const { url } = await openWholeGateway(port);
    const emit = (timeMs: number, kind: EventKind, message: string): void =>
      port.emitEvent({ type: 'event', timeMs, kind, stream: 'gate-1', message });
    const yesterday = new Date('2026-03-14T22:15:05').getTime();
    emit(yesterday, 'engine-failed', 'an inference thread ended');
    for (let i = 0; i < 400; i++) emit(yesterday + 1000 * i, 'line-crossed', `crossing ${i}`);
    const { page, complaints } = await visit(browser, `${url}/#events?show=log`);
    const rows = page.locator('.events li:not(.none)');
    await until(async () => (await rows.count()) === 200);
    const failed = page.locator('.events [data-kind="engine-failed"]');
    expect(await failed.locator('time').textContent()).toBe('Mar 14, 22:15:05');
    // More arrive while the page is open.
    for (let i = 0; i < 300; i++) emit(yesterday + 1e6 + i, 'line-crossed', `late crossing ${i}`);
    await until(async () => (await rows.first().textContent())!.includes('late crossing 299'));
    expect([await rows.count(), await failed.count()]).toEqual([200, 1]);

    await page.fill('.events-search input', 'INFERENCE thread');
    await until(async () => (await rows.count()) === 1);
    emit(yesterday + 2e6, 'stream-warning', 'does not match');
    emit(yesterday + 2e6, 'stream-warning', 'the inference thread is slow');
    await until(async () => (await rows.count()) === 2);
    await page.fill('.events-search input', '');
    await page.selectOption('.events-search select >> nth=0', 'Problems');
    await until(async () => (await rows.count()) === 3);
    expect(await page.locator('.events [data-kind="line-crossed"]').count()).toBe(0);
    await page.selectOption('.events-search select >> nth=1', 'Last hour');
    await until(async () => (await page.locator('.events').textContent()) === 'No event matches.');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('the filter is in the address, so that it survives a reload', async () => {
    const port = await LiveDouble.create(12);
    const { url } = await openWholeGateway(port);
    const { page, complaints } = await visit(browser, url);
    const shown = page.locator('.wall-tile:visible');
    await until(async () => (await shown.count()) === 12);
    await page.click('#attention');
    // dock-1 is slow, hall-1 is late, store-1 reconnects.
    await until(async () => (await shown.count()) === 3);
    await page.fill('#filter', 'dock');
    await until(async () => (await shown.count()) === 1);
    expect(new URL(page.url()).search).toBe('?find=dock&attention=1');
    await page.reload();
    await until(async () => (await shown.count()) === 1);
    expect(await page.getAttribute('#attention', 'aria-pressed')).toBe('true');
    await page.click('#attention');
    await page.fill('#filter', '');
    await until(async () => (await shown.count()) === 12);
    expect(new URL(page.url()).search).toBe('');
    expect(complaints).toEqual([]);
    await page.close();
  });
});

interface Canvas {
  readonly width: number;
  readonly height: number;
  getContext(kind: '2d'): {
    getImageData(x: number, y: number, width: number, height: number): { readonly data: Uint8ClampedArray };
  };
}
