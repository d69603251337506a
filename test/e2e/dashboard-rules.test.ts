import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import type { RuleEvent } from '../../src/wire/protocol/rule-event.ts';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { LiveDouble } from '../support/live-double.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { openWholeGateway } from '../support/open-gateways.ts';
import { NO_KEEPER, ruleTrial } from '../support/rule-events.ts';

const ZONE = {
  id: 'yard',
  polygon: [
    [0.2, 0.2],
    [0.6, 0.2],
    [0.6, 0.6],
  ],
};
const LINE = { id: 'gate', from: [0.5, 0.9], to: [0.5, 0.3] };
const STAYS = { id: 'stays', kind: 'dwells', zone: 'yard', labels: ['person'], for: '15s' };

describe.skipIf(browserPath === undefined)(browserTitle('rules on the dashboard'), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  /** A page with settings of a stream on a host that answers each trial with two events a rule. */
  async function openRules(settings: Record<string, unknown> = {}) {
    const port = await LiveDouble.create(2);
    port.settings.set('gate-1', { zones: [ZONE], lines: [LINE], ...settings });
    const tried: { events: { id: string }[] }[] = [];
    port.tryRules = async (_id, request) => {
      tried.push(request as (typeof tried)[number]);
      return ruleTrial((request as (typeof tried)[number]).events.map(({ id }) => id));
    };
    const { url } = await openWholeGateway(port);
    const { page, complaints } = await visit(browser, `${url}/#stream=gate-1/places`);
    await page.waitForSelector('.rules-group:visible [aria-label="Add rule"]');
    const field = (key: string) => page.locator(`.settings [name="${key}"]`);
    const sentences = () => page.locator('.rule-row .place-pick > span:first-child').allInnerTexts();
    const save = async (): Promise<unknown> => {
      await page.click('.settings [type="submit"]');
      await until(async () => (await page.locator('.form-done').textContent()) === 'Saved.');
      return JSON.parse(port.calls.findLast((call) => call.startsWith('change'))!.slice('change gate-1 '.length));
    };
    return { port, page, complaints, tried, field, sentences, save };
  }

  const fired = (page: Page): Promise<string | null> => page.locator('.tried-count').textContent();

  it('the lists of places and rules say nothing before the settings are known', async () => {
    const port = await LiveDouble.create(1);
    const { url } = await openWholeGateway(port);
    const { page } = await visit(browser, url);
    let answer = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      answer = resolve;
    });
    await page.route('**/api/streams/gate-1', async (route) => {
      await held;
      await route.continue();
    });
    await page.goto(`${url}/#stream=gate-1/places`);
    // The counts of the first report have come: it is the camera's page, and it is watched.
    await until(() => port.watched.size > 0);
    await page.waitForSelector('.pane[data-pane="places"]', { state: 'attached' });
    expect(await page.locator('.pane[data-pane="places"]').textContent()).toBe('');
    answer();
    await until(async () =>
      /No zone and no line.*No rule yet/s.test(
        await page.locator('.pane[data-pane="places"]').textContent().then(String),
      ),
    );
    await page.close();
  });

  it('a user draws a zone, adds a rule, sees how often it would have fired, saves, and the event comes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sightline-page-rules-'));
    const source = 'synthetic:testsrc2=size=64x64:rate=10';
    const model = { engine: 'fake', inputSize: '64x64', threads: 1 };
    const streams = [{ id: 'door', source, policy: 'live' }];
    const file = { name: 'page', description: 'Rules.', model, streams, lanes: 1 };
    const host = await PipelineHost.open(parsePipeline(JSON.stringify(file), 'test'), {
      environment: { ffmpegPath: testFfmpeg.path, searchPath: '', modelPath: [], cacheDir: folder, token: undefined },
      stdout: process.stdout,
      onNotice: () => undefined,
      admit: () => Promise.resolve(),
      // Somebody in the middle, for three of four seconds.
      fakeDetect: () =>
        Date.now() % 4000 < 3000 ? [{ classId: 0, label: 'person', score: 0.9, box: [24, 10, 16, 28] }] : [],
    });
    const events: RuleEvent[] = [];
    host.onRuleEvent((event) => events.push(event));
    await host.keepEvents(NO_KEEPER);
    const { url } = await openWholeGateway(host);
    await host.start();
    const { page, complaints } = await visit(browser, `${url}/#stream=door/places`);
    await page.click('[aria-label="Add zone"]');
    await page.locator('[name="zones[0].id"]').fill('step');
    await page.click('[aria-label="Add rule"]');
    expect(await page.locator('[name="events[0].zone"]').inputValue()).toBe('step');
    await page.locator('[name="events[0].for"]').fill('1');
    // At first there was too little to see, and what is not edited is not asked again.
    await until(async () => {
      if (/^In the last .* this would have fired \d+ times?$/.test((await fired(page)) ?? '')) return true;
      await page.locator('[name="events[0].for"]').fill('1');
      await page.waitForTimeout(2000);
      return false;
    });
    expect(host.streamSettings('door').settings.events).toEqual([]);
    expect(events).toEqual([]);
    // A time shows what it is about.
    await page.locator('.tried-times button').first().click();
    expect(await page.locator('.tried-event').textContent()).toMatch(/^Person \d+ has stayed in zone step for/);
    await page.click('.settings [type="submit"]');
    await until(async () => (await page.locator('.form-done').textContent()) === 'Saved.');
    const { settings } = host.streamSettings('door');
    expect(settings.events).toMatchObject([{ id: 'rule-1', kind: 'dwells', zone: 'step', for: '1s' }]);
    expect(settings.zones).toMatchObject([{ id: 'step' }]);
    await until(() => events.some(({ phase, rule, zone }) => phase === 'new' && rule === 'rule-1' && zone === 'step'));
    expect(complaints).toEqual([]);
    await page.close();
    await host.stop();
    rmSync(folder, { recursive: true });
  });

  it('each kind has its fields, and what is saved is what the form says', async () => {
    const { page, field, sentences, save, complaints } = await openRules();
    await page.click('[aria-label="Add rule"]');
    expect(await sentences()).toEqual([expect.stringMatching(/^Anything stays in yard for 15 s/)]);
    const names = () =>
      page
        .locator('.rule-fields > .rule-grid [name]')
        .evaluateAll((nodes) => [
          ...new Set((nodes as unknown as { name: string }[]).map(({ name }) => name.slice('events[0].'.length))),
        ]);
    const fields: Record<string, string[]> = {};
    for (const kind of ['crosses', 'count', 'speed', 'picture', 'stream', 'enters']) {
      await field('events[0].kind').selectOption(kind);
      fields[kind] = await names();
    }
    expect(fields).toEqual({
      crosses: ['kind', 'line', 'direction', 'labels', 'clip'],
      count: ['kind', 'above', 'below', 'zone', 'for', 'labels', 'clip'],
      speed: ['kind', 'above', 'for', 'zone', 'labels', 'clip'],
      picture: ['kind', 'signs', 'for', 'clip'],
      stream: ['kind', 'troubles', 'for', 'clip'],
      enters: ['kind', 'zone', 'labels', 'clip'],
    });
    await field('events[0].kind').selectOption('count');
    await field('events[0].above').fill('1.5');
    await field('events[0].above').fill('2');
    await field('events[0].for').fill('5s');
    await page.click('.rule-more summary');
    await field('events[0].cooldown').fill('10m');
    await field('events[0].when').fill('count < 9.0');
    await field('events[0].times.on').selectOption('mon-fri');
    await page.getByLabel('From', { exact: true }).fill('07:30');
    await field('events[0].times.timeZone').fill('Europe/Berlin');
    await field('events[0].id').fill('crowd');
    await field('events[0].labels').fill('person');
    await page.keyboard.press('Enter');
    expect(await sentences()).toEqual([
      expect.stringMatching(/^More than 2 people in yard for 5 s, mon-fri 07:30-18:00\s*crowd$/),
    ]);
    expect(await save()).toEqual({
      events: [
        {
          kind: 'count',
          above: 2,
          zone: 'yard',
          for: '5s',
          labels: ['person'],
          cooldown: '10m',
          times: { timeZone: 'Europe/Berlin', on: ['mon-fri 07:30-18:00'] },
          when: 'count < 9.0',
          id: 'crowd',
        },
      ],
    });
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('a clip is kept of each event once that is chosen, for the seconds that are typed', async () => {
    const { page, field, save, sentences, complaints } = await openRules({ events: [STAYS] });
    await page.click('[data-rule="0"] .place-pick');
    expect(await field('events[0].clip').inputValue()).toBe('');
    expect(await field('events[0].clip.before').count()).toBe(0);
    await field('events[0].clip').selectOption({ label: 'Around each event' });
    const seconds = () => Promise.all(['before', 'after'].map((key) => field(`events[0].clip.${key}`).inputValue()));
    expect(await seconds()).toEqual(['5', '5']);
    await field('events[0].clip.before').fill('12');
    await field('events[0].clip.after').fill('2m');
    expect(await seconds()).toEqual(['12', '120']);
    expect(await sentences()).toEqual([expect.stringContaining('stays, keeps a clip')]);
    expect(await save()).toMatchObject({ events: [{ id: 'stays', clip: { before: '12s', after: '2m' } }] });
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('rules are counted as they are edited, and a rule that is not touched is sent as it was', async () => {
    const { page, tried, field, save } = await openRules({ events: [STAYS, { id: 'lost', kind: 'stream' }] });
    await until(async () =>
      (await page.locator('.rule-row .place-count').allInnerTexts()).every((text) => text.startsWith('2 in')),
    );
    expect(tried).toHaveLength(1);
    await page.click('[data-rule="0"] .place-pick');
    expect(await fired(page)).toBe('In the last hour this would have fired 2 times');
    await field('events[0].for').pressSequentially('0', { delay: 10 });
    await field('events[0].for').fill('20s');
    await until(() => tried.length === 2);
    expect(tried[1]!.events).toMatchObject([{ id: 'stays', for: '20s' }, { id: 'lost' }]);
    await page.click('[aria-label="Delete zone yard"]');
    await until(() => tried.length === 3);
    expect(tried[2]).toMatchObject({ zones: [] });
    expect(
      await field('events[0].zone').evaluate(
        (node) => (node as unknown as { selectedOptions: { text: string }[] }).selectedOptions[0]!.text,
      ),
    ).toBe('yard (deleted)');
    await page.click('button:text-is("Undo")');
    await page.click('button:text-is("Undo")');
    expect(await field('events[0].for').inputValue()).toBe('15s');
    expect(await page.locator('.form-done').textContent()).toBe('');
    await page.click('[aria-label="Delete rule lost"]');
    expect(await save()).toMatchObject({ events: [{ id: 'stays', zone: 'yard', for: '15s' }] });
    await page.close();
  });

  it('a rule follows the new name of its zone, with the keyboard alone', async () => {
    const { page, field, save } = await openRules({ events: [STAYS] });
    await page.focus('[data-place="zones[0]"] .place-pick');
    await page.keyboard.press('Enter');
    await field('zones[0].id').fill('');
    await page.keyboard.type('steps');
    await page.focus('[data-rule="0"] .place-pick');
    await page.keyboard.press('Space');
    expect(await field('events[0].zone').inputValue()).toBe('steps');
    expect(await save()).toMatchObject({ zones: [{ id: 'steps' }], events: [{ zone: 'steps' }] });
    await page.close();
  });

  it('a fault is shown at its field while it is typed, and again when it is saved from another tab', async () => {
    const { port, page, field } = await openRules({ events: [{ id: 'lost', kind: 'stream' }, STAYS] });
    const message = 'stream "gate-1": events[1].for: expected a time such as 15s, 10m or 2h, received "soon" (string)';
    const refuse = () => Promise.reject(new SightlineError('CONFIG_INVALID', message));
    port.tryRules = refuse;
    port.changeStream = refuse;
    await page.click('[data-rule="1"] .place-pick');
    await field('events[1].for').fill('soon');
    await until(async () => (await field('events[1].for').getAttribute('aria-invalid')) === 'true');
    expect(await fired(page)).toBe('It is counted once what is marked is right.');
    expect(await page.locator(':focus').getAttribute('name')).toBe('events[1].for');
    await page.click('[data-rule="1"] .place-pick');
    await page.click('[data-camera-tab="settings"]');
    await page.click('.settings [type="submit"]');
    await until(async () => (await page.locator(':focus').getAttribute('name')) === 'events[1].for');
    expect(await page.locator('.rule-row .field-error:not(:empty)').allTextContents()).toEqual([
      'expected a time such as 15s, 10m or 2h, received "soon" (string)',
    ]);
    await page.close();
  });

  it('says why it is not known how often rules would have fired, and a viewer sees rules only', async () => {
    const { port, page } = await openRules({ events: [STAYS] });
    port.tryRules = () => Promise.reject(new SightlineError('STREAM_STATE', 'stream "gate-1" runs on host "b"'));
    await page.click('[data-rule="0"] .place-pick');
    await page.locator('[name="events[0].for"]').fill('16s');
    await until(
      async () => (await fired(page)) === 'Not known how often it would have fired: stream "gate-1" runs on host "b"',
    );
    await page.close();
  });

  it.each(['light', 'dark'] as const)(
    'fits a phone, %s: Save is in sight, and what is touched is 44 px high',
    async (scheme) => {
      const port = await LiveDouble.create(1);
      port.settings.set('gate-1', { zones: [ZONE], events: [STAYS, { ...STAYS, id: 'second' }] });
      port.tryRules = async () => ruleTrial(['stays', 'second'], 9);
      const { url } = await openWholeGateway(port);
      const { page } = await visit(browser, `${url}/#stream=gate-1/places`, scheme);
      await page.setViewportSize({ width: 390, height: 844 });
      await page.click('[data-rule="1"] .place-pick');
      await page.click('.rule-fields > .rule-more > summary');
      await page.waitForSelector('.tried-times button');
      await page.locator('.tried-times button').last().scrollIntoViewIfNeeded();
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390);
      const button = (await page.locator('.settings [type="submit"]').boundingBox())!;
      expect(button.y + button.height).toBeLessThanOrEqual(844 - 52);
      const low = await page
        .locator('.rule-row :is(button, input, select, summary):visible, .settings-actions button:visible')
        .evaluateAll((nodes) =>
          (
            nodes as unknown as {
              getBoundingClientRect(): { height: number };
              closest(text: string): { getBoundingClientRect(): { height: number } } | null;
              outerHTML: string;
            }[]
          )
            .filter((node) => (node.closest('label') ?? node).getBoundingClientRect().height < 44)
            .map(({ outerHTML }) => outerHTML.slice(0, 90)),
        );
      expect(low).toEqual([]);
      await page.close();
    },
  );
});
