import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { History } from '../../src/after/history/history.ts';
import type { PublishedFrame } from '../../src/base/core/frame.ts';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { LiveDouble } from '../support/live-double.ts';
import { openWholeGateway } from '../support/open-gateways.ts';

const HOUR_MS = 3_600_000;

describe.skipIf(browserPath === undefined)(browserTitle('counts by hour and heat maps'), () => {
  let browser: Browser;
  let history: History;
  let nowMs: number;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());
  beforeEach(async () => {
    nowMs = Date.now();
    history = await History.open({
      path: null,
      maxBytes: 2 ** 24,
      days: 90,
      onNotice: () => undefined,
      wallMs: () => nowMs,
    });
  });
  afterEach(() => history.close());

  /** Seconds of a stream at 25 frames/s: in each one, a new object crosses the line at its first frame. */
  function watch(streamId: string, fromS: number, seconds: number, label: string): void {
    for (let i = 0; i < 25 * seconds; i++) {
      const trackId = fromS + Math.floor(i / 25) + 1;
      const crossing = { lineId: 'gate', trackId, label, direction: 'left-to-right', ptsUs: 0 };
      history.observe({
        streamId,
        run: 'r',
        frame: fromS * 25 + i,
        ptsUs: (fromS * 25 + i) * 40_000,
        width: 640,
        height: 360,
        by: 'inferred',
        times: {},
        zones: [{ id: 'doorway', inside: 2 }],
        detections: [{ classId: 0, label, score: 0.9, box: [300, 140, 40, 40], trackId }],
        ...(i % 25 === 0 ? { crossings: [crossing] } : {}),
      } as unknown as PublishedFrame);
    }
  }

  /** `2026-01-31` on the clock of this machine, which is that of the browser. */
  function dayText(timeMs: number): string {
    const day = new Date(timeMs);
    return [day.getFullYear(), day.getMonth() + 1, day.getDate()]
      .map((part) => String(part).padStart(2, '0'))
      .join('-');
  }

  it('shows what was counted in each hour by label, line and zone, what was not watched, and filters by an hour', async () => {
    const noonMs = new Date(nowMs - 24 * HOUR_MS).setHours(12, 0, 0, 0);
    nowMs = noonMs;
    watch('gate-1', 0, 30, 'person');
    history.watched('gate-1', [{ reason: 'down', fromMs: 0, toMs: 20_000 }], 0);
    nowMs = noonMs + HOUR_MS;
    watch('gate-1', 3600, 10, 'car');
    watch('yard-1', 3600, 5, 'person');
    nowMs = Date.now();
    const port = await LiveDouble.create(2);
    const { url } = await openWholeGateway(port, { history });
    const { page, complaints } = await visit(browser, `${url}/#events?day=${dayText(noonMs)}`);
    const keys = page.locator('.hours-keys > span');
    const texts = async (): Promise<string> => (await keys.allTextContents()).join();
    await until(async () => {
      port.tick();
      return (await texts()) === 'person 35,car 10';
    });
    const hours = page.locator('.hour');
    expect(await hours.count()).toBe(24);
    const labelOf = (hour: number): Promise<string | null> => hours.nth(hour).getAttribute('aria-label');
    expect(await labelOf(12)).toBe('12:00 to 13:00: person 30, car 0, watched 30 s');
    expect(await labelOf(13)).toBe('13:00 to 14:00: person 5, car 10, watched 15 s');
    expect(await labelOf(3)).toBe('03:00 to 04:00: person 0, car 0, not watched');
    const heightOf = (hour: number, series: number): Promise<number> =>
      hours
        .nth(hour)
        .locator('.stack i')
        .nth(series)
        .evaluate((node) => (node as unknown as { offsetHeight: number }).offsetHeight);
    expect(Math.abs((await heightOf(12, 0)) - 6 * (await heightOf(13, 0)))).toBeLessThanOrEqual(6);
    expect(await heightOf(13, 1)).toBeGreaterThan(await heightOf(13, 0));

    await page.selectOption('[data-filter="stream"]', 'gate-1');
    await until(async () => (await texts()) === 'person 30,car 10');
    await page.selectOption('.hours select', 'line gate');
    await until(async () => (await labelOf(13))!.includes('10 left to right, 0 right to left'));
    await page.selectOption('.hours select', 'zone doorway');
    await until(async () => (await labelOf(12))!.includes('inside on average 2, at most 2'));
    await page.selectOption('.hours select', 'seen');
    await until(
      async () => (await labelOf(12)) === '12:00 to 13:00: Minutes watched 0.5, not watched: down 20 s, watched 30 s',
    );

    await hours.nth(12).focus();
    await until(async () => (await page.locator('.hours-said').textContent())!.startsWith('12:00 to 13:00'));
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    await until(async () => (await hours.nth(13).getAttribute('aria-current')) === 'true');
    expect(new URL(page.url()).hash).toBe(`#events?day=${dayText(noonMs)}&stream=gate-1&hour=13`);
    const csv = new URLSearchParams((await page.locator('.event-csv').getAttribute('href'))!.split('?')[1]);
    expect([csv.get('from'), csv.get('to')]).toEqual([String(noonMs + HOUR_MS), String(noonMs + 2 * HOUR_MS)]);
    await page.click('[aria-label="The day after"]');
    await until(async () => (await page.locator('.hours .none').textContent()) === 'Nothing was watched on this day.');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('draws where objects stood over the picture, with its time, and takes it away again', async () => {
    watch('gate-1', 0, 30, 'person');
    const port = await LiveDouble.create(1);
    port.put({ ...port.report().streams[0]!, zones: [], lines: [] });
    const { url } = await openWholeGateway(port, { history });
    const { page, complaints } = await visit(browser, `${url}/#stream=gate-1/figures`);
    await page.waitForSelector('[data-camera="gate-1"] .heat');
    await page.click('.camera-bar .chip:text("Boxes")');
    /** Opacity in the middle of the picture, where the objects stood, and in a corner. */
    const heat = (): Promise<number[]> =>
      page.locator('[data-camera="gate-1"] canvas.overlay').evaluate((node) => {
        const canvas = node as unknown as { width: number; height: number; getContext(kind: '2d'): Context };
        const { width, height } = canvas;
        const alphaAt = (x: number, y: number) =>
          canvas.getContext('2d').getImageData(x * width, y * height, 1, 1).data[3]!;
        return [alphaAt(16.5 / 32, 9.5 / 18), alphaAt(0.05, 0.05)];
      });
    await page.click('.heat button:text("24 h")');
    await until(async () => {
      port.showPictures();
      const [middle, corner] = await heat();
      return middle! > 100 && corner === 0;
    });
    expect(await page.locator('.heat .none').textContent()).toBe('Of 30 s watched. Longest at one place: 30 s.');
    await page.click('.heat button:text("7 days")');
    expect(await page.locator('.camera-bar .chip[aria-pressed="true"]').last().textContent()).toBe('Heat map, 7 days');
    await page.click('.heat button:text("Off")');
    await until(async () => (await heat()).join() === '0,0');
    expect(complaints).toEqual([]);
    await page.close();
  });
});

interface Context {
  getImageData(x: number, y: number, width: number, height: number): { readonly data: Uint8ClampedArray };
}
