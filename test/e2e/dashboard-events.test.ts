import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { History } from '../../src/after/history/history.ts';
import type { EventMessage } from '../../src/wire/protocol/feed.ts';
import type { EventPhase, RuleEvent } from '../../src/wire/protocol/rule-event.ts';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { LiveDouble } from '../support/live-double.ts';
import { openWholeGateway } from '../support/open-gateways.ts';
import { ruleEvent } from '../support/rule-events.ts';
import { publishedFrame } from '../support/runtime-double.ts';
import { alertFigures } from '../support/sample-reports.ts';

const MINUTE_MS = 60_000;

/** A record at a wall time, as a host announces it. */
function told(
  id: string,
  atMs: number,
  {
    phase = 'new',
    lastedMs = 0,
    ...more
  }: Partial<RuleEvent> & { readonly phase?: EventPhase; readonly lastedMs?: number } = {},
): EventMessage {
  const moment = (ms: number) => ({ at: new Date(ms).toISOString(), ptsUs: (ms - atMs) * 1000 });
  const rule = ruleEvent(id, phase === 'new' ? 0 : 1, phase, {
    stream: 'gate-1',
    ...moment(atMs + lastedMs),
    began: moment(atMs),
    raised: moment(atMs),
    ...(phase === 'end' ? { ended: moment(atMs + lastedMs) } : {}),
    ...more,
  });
  return { type: 'event', timeMs: atMs + lastedMs, kind: 'rule', stream: rule.stream, message: rule.reason, rule };
}

describe.skipIf(browserPath === undefined)(browserTitle('events, alerts and counts'), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  const cards = (page: Page): Promise<string[]> => page.locator('.event-card b').allTextContents();
  const queryOf = (page: Page): Record<string, string> =>
    Object.fromEntries(new URLSearchParams(new URL(page.url()).hash.split('?')[1] ?? ''));

  async function openWith(count: number, events: readonly EventMessage[], hash = '#events') {
    const port = await LiveDouble.create(count);
    const { url } = await openWholeGateway(port);
    for (const event of events) port.emitEvent(event);
    const { page, complaints } = await visit(browser, `${url}/${hash}`);
    await until(async () => {
      port.tick();
      return page.locator('#events .events-head').isVisible();
    });
    return { port, page, complaints, url };
  }

  it('lists events the newest first, ends them as the feed says so, and filters them in the address', async () => {
    const now = Date.now();
    const crossed = { rule: 'in', kind: 'crosses', line: 'gate', label: 'car', stream: 'dock-1', trackId: 9 } as const;
    const { port, page, complaints, url } = await openWith(3, [
      told('old', now - 20 * MINUTE_MS, { phase: 'end', lastedMs: 90_000 }),
      told('cross', now - 10 * MINUTE_MS, { ...crossed, phase: 'end' }),
      told('lasts', now - 5 * MINUTE_MS),
    ]);
    await until(async () => (await cards(page)).length === 3);
    expect(await cards(page)).toEqual(['Person in door', 'Car crossed gate', 'Person in door']);
    expect(await page.locator('.event-card').nth(2).locator('> span:not(.open-pill)').allTextContents()).toEqual([
      expect.stringMatching(/^gate-1, /),
      'loiter, 1 min 30 s',
    ]);
    expect(await page.locator('.event-card[data-open]').getAttribute('data-event')).toBe('lasts');
    expect(await page.locator('.events-head h2').textContent()).toBe('1 event open');

    port.emitEvent(told('lasts', now - 5 * MINUTE_MS, { phase: 'end', lastedMs: 4 * MINUTE_MS }));
    port.emitEvent(told('next', now, { label: 'dog' }));
    await until(async () => (await cards(page))[0] === 'Dog in door');
    expect(await page.locator('.event-card[data-event="lasts"] .open-pill').count()).toBe(0);

    await page.selectOption('[data-filter="stream"]', 'dock-1');
    await until(async () => (await cards(page)).join() === 'Car crossed gate');
    expect(queryOf(page)).toEqual({ stream: 'dock-1' });
    // Of the other stream: it does not come into the list.
    port.emitEvent(told('hidden', now + 1));
    port.emitEvent(told('shown', now + 2, { ...crossed, label: 'bus' }));
    await until(async () => (await cards(page))[0] === 'Bus crossed gate');
    expect((await cards(page)).length).toBe(2);
    await page.reload();
    await until(async () => (await cards(page)).length === 2);
    expect(await page.locator('[data-filter="stream"]').inputValue()).toBe('dock-1');

    await page.selectOption('[data-filter="label"]', 'car');
    await until(async () => (await cards(page)).join() === 'Car crossed gate');
    const csv = await page.locator('.event-csv').getAttribute('href');
    const lines = (await (await fetch(csv!)).text()).trim().split('\r\n');
    expect([lines.length, lines[1]]).toEqual([2, expect.stringContaining(',cross,1,end,in,car,')]);
    await page.click('text=Show all');
    await until(async () => (await cards(page)).length === 6);
    await page.goto(`${url}/#events?day=2020-01-01`);
    await until(() => page.locator('.empty:visible', { hasText: 'No event matches' }).isVisible());
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows the picture of its moment, cropped to the object, and of a camera that is away its last one', async () => {
    const now = Date.now();
    const history = await History.open({ path: null, maxBytes: 2 ** 24, days: 1, onNotice: console.warn });
    onTestFinished(() => history.close());
    const port = await LiveDouble.create(2);
    const { url } = await openWholeGateway(port, { history });
    const jpegOf = (background: string) =>
      sharp({ create: { width: 320, height: 180, channels: 3, background } })
        .jpeg()
        .toBuffer();
    const size = { width: 640, height: 360, bounds: [0, 0, 640, 360] as const };
    const [seen, away] = [
      told('seen', now - 5000, { phase: 'end' }),
      told('away', now - 4000, { kind: 'stream', sign: 'down', trackId: undefined as never }),
    ];
    history.picture(seen.rule!, {
      facts: { moment: 'at', timeMs: now - 5000, ...size, box: [500, 100, 40, 80] },
      jpeg: await jpegOf('red'),
    });
    history.picture(away.rule!, {
      facts: { moment: 'before', timeMs: now - 9000, ...size, box: null },
      jpeg: await jpegOf('blue'),
    });
    for (const event of [seen, away]) port.emitEvent(event);
    const { page, complaints } = await visit(browser, `${url}/#events`);
    const card = (id: string) => page.locator(`.event-card[data-event="${id}"]`);
    await until(async () => {
      port.tick();
      return (await card('seen').locator('image').count()) === 1 && (await card('away').locator('image').count()) === 1;
    });
    const [x, y, width, height] = (await card('seen').locator('svg').getAttribute('viewBox'))!.split(' ').map(Number);
    expect(x! <= 500 && x! + width! >= 540 && y! <= 100 && y! + height! >= 180, 'the object is in it').toBe(true);
    expect(width!).toBeLessThan(400);
    expect(await card('seen').locator('.event-box').getAttribute('x')).toBe('500');
    expect(await card('away').locator('.picture-note').textContent()).toMatch(/^Last picture, /);
    await card('away').click();
    await until(async () => (await page.locator('.event-pair figcaption').count()) === 1);
    expect(await page.locator('.event-pair figcaption').textContent()).toMatch(/^Last good picture, /);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('says where the object of an event was seen again, if its embedding is kept', async () => {
    const now = Date.now();
    const keeping = { path: null, maxBytes: 2 ** 24, days: 1, embeddingsMs: 3_600_000, onNotice: console.warn };
    const history = await History.open(keeping);
    onTestFinished(() => history.close());
    const seen = (stream: string, trackId: number, vector: readonly number[]): void => {
      const attributes = { like: { vector, model: 'm@1', box: [0, 0, 9, 9], atUs: 0 } };
      const detection = { classId: 0, label: 'person', score: 0.9, box: [0, 0, 9, 9], trackId, attributes };
      history.observe(publishedFrame(stream, 0, [detection as never]));
    };
    seen('gate-1', 7, [0.6, 0.8]);
    seen('dock-1', 9, [0.8, 0.6]);
    seen('yard-1', 4, [0, 1]);
    const port = await LiveDouble.create(3);
    const { url } = await openWholeGateway(port, { history });
    port.emitEvent(told('one', now - MINUTE_MS, { phase: 'end' }));
    port.emitEvent(told('again', now, { stream: 'dock-1', trackId: 9 }));
    port.emitEvent(told('other', now, { stream: 'gate-1', trackId: 8 }));
    const { page, complaints } = await visit(browser, `${url}/#events?event=one`);
    const again = page.locator('.seen-again li');
    await until(async () => {
      port.tick();
      return (await again.count()) === 2;
    });
    expect(await again.allTextContents()).toEqual([
      expect.stringMatching(/^person 9 on dock-1, .* similarity 0\.96$/),
      expect.stringMatching(/^person 4 on yard-1, .* similarity 0\.80$/),
    ]);
    expect(await page.locator('.seen-again a').count(), 'neither an event nor a recording of the second').toBe(1);
    await again.locator('a').click();
    await until(async () => (await page.locator('.event-detail').getAttribute('data-event')) === 'again');
    await page.goto(`${url}/#events?event=other`);
    await until(async () => (await page.locator('.event-detail').getAttribute('data-event')) === 'other');
    expect(await page.locator('.seen-again').count()).toBe(0);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('has older events page by page, each once', async () => {
    const now = Date.now();
    const many = Array.from({ length: 130 }, (_, i) =>
      told(`e${i}`, now - (130 - i) * 1000, { phase: 'end', label: `n${i}` }),
    );
    const { page, complaints } = await openWith(1, many, '#events?rule=loiter');
    for (const count of [60, 120, 130]) {
      await until(async () => (await cards(page)).length === count);
      const older = page.locator('.events-older');
      expect(await older.count()).toBe(count === 130 ? 0 : 1);
      if (count < 130) await older.click();
    }
    expect(new Set(await cards(page)).size).toBe(130);
    // All rules: what followed each other closely is one storm.
    await page.selectOption('[data-filter="rule"]', '');
    await until(async () => (await cards(page)).join() === '60 \u00d7 N129 in door');
    await page.click('.event-card');
    expect(queryOf(page)).toEqual({ stream: 'gate-1', rule: 'loiter' });
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('opens an event: why, its rule, its way, how sure, what was not watched, and who is told', async () => {
    const now = Date.now();
    const life: Partial<RuleEvent> = {
      path: [
        [0.1, 0.5],
        [0.4, 0.6],
        [0.5, 0.5],
      ],
      reason: 'person 7 has stayed in zone door for 15.0 s',
      best: { frame: 4, ptsUs: 1, box: [320, 180, 64, 128], score: 0.9, width: 640, height: 360 },
      blind: { seconds: 3, reason: 'black' },
    };
    const { port, page, complaints } = await openWith(2, [told('before', now - MINUTE_MS, { phase: 'end' })]);
    port.alerts = [{ on: ['loiter'], to: ['webhook-1'], hold: '10m', group: '0s' }];
    port.settings.set('gate-1', {
      zones: [
        {
          id: 'door',
          polygon: [
            [0.1, 0.1],
            [0.6, 0.1],
            [0.6, 0.6],
          ],
        },
      ],
      events: [{ id: 'loiter', kind: 'dwells', zone: 'door', for: '15s', clip: { before: '2s' } }],
    });
    await page.reload();
    port.emitEvent(told('it', now, { ...life, score: 0.6 }));
    await page.click('.event-card[data-event="it"]');
    const detail = page.locator('.event-detail');
    await until(async () => (await detail.textContent())!.includes('webhook-1'));
    const text = (await detail.textContent())!.replaceAll(/\s+/g, ' ');
    expect(text).toContain('Person 7 has stayed in zone door for 15.0 s.');
    expect(text).toContain('loiter: Anything stays in door for 15 s; keeps a clip from 2 s before to 5 s after.');
    expect(text).toContain('Blind for 3 s of the minute before: black.');
    expect(text).toContain('still open');
    expect(await detail.locator('.event-path').getAttribute('points')).toBe('64.0,180.0 256.0,216.0 320.0,180.0');
    expect(await detail.locator('.event-box').getAttribute('x')).toBe('320');
    expect(await detail.locator('.score-curve').count()).toBe(0);

    port.emitEvent(told('it', now, { ...life, phase: 'end', score: 0.9, lastedMs: 20_000 }));
    await until(async () => (await detail.locator('.score-curve').count()) === 1);
    expect(await detail.locator('.score-curve').getAttribute('aria-label')).toBe(
      'Best score so far, from 60 % to 90 %',
    );
    expect(await detail.locator('h3').textContent()).toBe('Person in door for 20 s');
    // Never the scene as it is now.
    for (let i = 0; i < 3; i++) port.showPictures();
    await until(async () => (await detail.locator('.no-picture-why').textContent()) === 'No picture was kept.');
    expect(await detail.locator('.event-picture image').count()).toBe(0);
    await detail.locator('[aria-label="Older event"]').click();
    await until(async () => (await detail.getAttribute('data-event')) === 'before');
    await page.keyboard.press('Escape');
    await until(async () => (await detail.count()) === 0);
    expect(queryOf(page)).toEqual({});
    // By keyboard: the card has the focus again, arrows move, Enter opens.
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('Enter');
    await until(async () => (await detail.getAttribute('data-event')) === 'it');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows open alerts beside the wall, in the state line, on the tile and the tab, and a storm as one line', async () => {
    const port = await LiveDouble.create(4);
    port.alerts = [{ on: ['loiter'], streams: ['yard-1'], to: ['webhook-1'], hold: '0s', group: '0s' }];
    const { url } = await openWholeGateway(port);
    const { page, complaints } = await visit(browser, url);
    const now = Date.now();
    await page.waitForSelector('[data-stream="yard-1"]');
    port.emitEvent(told('quiet', now - 3000));
    port.emitEvent(told('loud', now, { stream: 'yard-1' }));
    await until(async () => (await page.locator('#state').getAttribute('data-state')) === 'alert');
    expect(await page.locator('#state-title').textContent()).toBe('Person in door');
    expect(await page.locator('#state-text').textContent()).toMatch(/^yard-1, \d+ s ago\./);
    expect(await page.locator('[data-stream="yard-1"] .alert-sign').textContent()).toBe('Person in door');
    expect(await page.locator('[data-stream="gate-1"]').getAttribute('data-alert')).toBe(null);
    expect(await page.locator('#open-alerts').textContent()).toBe('1');
    // Nobody is told of the other one: it is no alert.
    expect(await page.locator('#rail li').count()).toBe(1);

    for (let i = 0; i < 200; i++) port.emitEvent(told(`storm${i}`, now + i, { phase: 'end', stream: 'yard-1' }));
    await until(
      async () => (await page.locator('#rail li b').allTextContents()).join() === '201 \u00d7 Person in door',
    );
    await page.click('#look');
    await page.waitForSelector('.event-detail');
    await page.click('#tabs [data-tab="wall"]');
    await page.click('#rail li a');
    expect(queryOf(page)).toEqual({ stream: 'yard-1', rule: 'loiter' });
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('has the ledger of each channel, which adds up, and says how to begin without alerts', async () => {
    const { port, page, complaints } = await openWith(1, [], '#events?show=alerts');
    await until(() => page.locator('.panel', { hasText: 'No alerts yet' }).isVisible());
    port.alerts = [{ on: ['loiter', 'lost'], to: ['webhook-1'], hold: '10m', group: '0s' }];
    port.host = { ...port.host, alerts: { 'webhook-1': alertFigures() } };
    await page.reload();
    const cells = page.locator('[data-channel="webhook-1"] td');
    await until(async () => {
      port.tick();
      return (await cells.count()) === 8;
    });
    const texts = await cells.allTextContents();
    const [raised, ...parts] = texts.slice(0, 7).map(Number);
    expect(texts[7]).toBe('3 sent, 1 failed, 2 pending');
    expect([raised, parts]).toEqual([12, [4, 3, 2, 1, 1, 1]]);
    expect(parts.reduce((sum, part) => sum + part, 0)).toBe(raised);
    expect(await page.locator('.alert-list li').textContent()).toBe(
      'loiter, lost: to webhook-1, no other message for 10m',
    );
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('says what to do while there are no rules, and the log of the host has a place of its own', async () => {
    const { port, page, complaints } = await openWith(1, []);
    await until(async () =>
      ((await page.locator('.events-main .empty').textContent()) ?? '').startsWith('No rules yet'),
    );
    port.tellHistory();
    await page.click('.events-head a:text("Log")');
    await until(async () => (await page.locator('.events li:not(.none)').count()) === 7);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('loads neither events nor alerts for a wall without rules', async () => {
    const port = await LiveDouble.create(2);
    for (const report of port.report().streams) {
      const { events: _, ...without } = report;
      port.put(without);
    }
    const { url } = await openWholeGateway(port);
    const { page } = await visit(browser, 'about:blank');
    const asked: string[] = [];
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    await page.goto(url);
    await page.waitForSelector('[data-stream="gate-1"]');
    await until(() => port.watched.size === 2);
    expect(asked.filter((path) => /\/(?:event|alert|rule|hour|heat|vendor.lit)/.test(path))).toEqual([]);
    port.emitEvent(told('first', Date.now()));
    await page.waitForSelector('#rail li');
    expect(asked).toContain('/alert-rail.js');
    expect(asked).not.toContain('/events-page.js');
    await page.close();
  });

  it('shows names of rules, labels and reasons as text', async () => {
    const evil = '<img src=x onerror="document.title=\'owned\'">';
    const { page, complaints } = await openWith(1, [
      told('"><b', Date.now(), { rule: evil, label: evil, zone: evil, reason: evil }),
    ]);
    await page.click('.event-card');
    await until(async () => ((await page.locator('.event-detail').textContent()) ?? '').includes(evil));
    expect(await page.locator('img[src="x"]').count()).toBe(0);
    expect(await page.title()).toBe('Sightline');
    expect(complaints).toEqual([]);
    await page.close();
  });
});
