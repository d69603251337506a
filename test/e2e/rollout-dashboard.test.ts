import { writeFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Detection } from '../../src/base/core/detection.ts';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { openWholeGateway } from '../support/open-gateways.ts';
import { guardReport } from '../support/rollout-doubles.ts';
import { RolloutPortDouble, rolloutReport } from '../support/rollout-port-double.ts';
import { publishedFrame, RuntimeDouble } from '../support/runtime-double.ts';

const person = (x: number): Detection => ({ classId: 0, label: 'person', score: 0.9, box: [x, 100, 80, 200] });

describe.skipIf(browserPath === undefined)(browserTitle('the roll-out on the dashboard'), () => {
  let browser: Browser;
  let jpeg: Buffer;

  beforeAll(async () => {
    browser = await openBrowser();
    const grey = { width: 640, height: 360, channels: 3, background: '#586270' } as const;
    jpeg = await sharp({ create: grey }).jpeg().toBuffer();
  });
  afterAll(() => browser.close());

  async function open(rollouts: RolloutPortDouble) {
    const live = new RuntimeDouble(['gate', 'yard']);
    const { url } = await openWholeGateway(live, { rollouts });
    const { page, complaints } = await visit(browser, `${url}/#system`);
    live.tick();
    await page.waitForSelector('#rollout:not([hidden])');
    return { page, complaints, live };
  }

  /** Numbers of an SVG shape, by attribute. */
  const shapes = (page: Page, selector: string): Promise<Record<string, number>[]> =>
    page
      .locator(selector)
      .evaluateAll((nodes) =>
        nodes.map((node) => Object.fromEntries([...node.attributes].map(({ name, value }) => [name, Number(value)]))),
      );

  it('shows versions, steps, shares and the reason', async () => {
    const { page, complaints } = await open(new RolloutPortDouble());
    expect(await page.textContent('.rollout-head h2')).toBe('people@2 → people@3');
    expect(await page.locator('.rollout-steps li').allInnerTexts()).toEqual([
      'Baseline',
      '1 %',
      '10 %',
      '50 %',
      '100 %',
      '100 % alone',
    ]);
    expect(await page.textContent('.rollout-steps [data-phase="now"]')).toBe('10 %');
    expect(await page.locator('.rollout-steps [data-phase="done"]').count()).toBe(2);
    expect(await page.textContent('.rollout-progress')).toContain('10 %: 1 of 12 streams');
    expect(await page.textContent('.rollout-reason')).toContain('the margin is 0.03');
    expect(await page.textContent('.rollout-waits')).toBe(
      'Waiting for frames (840 of 1000) and the guard p99: about 4 min left.',
    );
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('draws each interval against its margin: inside for pass, beyond for fail', async () => {
    const { page } = await open(new RolloutPortDouble());
    const bars = async (guard: string) => {
      const [bar] = await shapes(page, `[data-guard="${guard}"] .guard-bar`);
      const [high, low] = await shapes(page, `[data-guard="${guard}"] .guard-margin`);
      return { left: bar!.x!, right: bar!.x! + bar!.width!, low: low!.x1!, high: high!.x1! };
    };
    const pass = await bars('agreement');
    expect(pass.left > pass.low && pass.right < pass.high).toBe(true);
    const open_ = await bars('p99');
    expect(open_.left > open_.low && open_.left < open_.high && open_.right > open_.high).toBe(true);
    const fail = await bars('boxes');
    expect(fail.right).toBeLessThan(fail.low);
    expect(await page.locator('[data-guard="deviceTime"] .guard-bar').getAttribute('hidden')).not.toBeNull();
    await page.close();
  });

  it('shows one frame twice, with the boxes of each version', async () => {
    const rollouts = new RolloutPortDouble();
    const { page, live, complaints } = await open(rollouts);
    await until(() => live.watched.has('gate'));
    const [control, candidate] = [[person(100)], [person(100), person(400)]];
    live.preview({ ...publishedFrame('gate', 7, candidate), width: 640, height: 360 }, jpeg);
    rollouts.shadow({ stream: 'gate', frame: 7, control, candidate });
    const captions = page.locator('.rollout-pictures figcaption');
    await until(async () => ((await captions.nth(1).textContent()) ?? '').startsWith('people@3: 2 boxes'));
    expect(await captions.allInnerTexts()).toEqual([
      'people@2: 1 box (gate, frame 7)',
      'people@3: 2 boxes (gate, frame 7)',
    ]);
    await until(async () => (await page.locator('.rollout-pictures .view[data-has-picture]').count()) === 2);
    if (process.env.SCREENSHOT !== undefined) writeFileSync(process.env.SCREENSHOT, await page.screenshot());
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows a control stream beside a candidate stream while no frame is inferred by both', async () => {
    const { page, live } = await open(new RolloutPortDouble());
    await until(() => live.watched.has('gate') && live.watched.has('yard'));
    live.preview(publishedFrame('gate', 3, []), jpeg);
    live.preview(publishedFrame('yard', 9, [person(100)]), jpeg);
    const captions = page.locator('.rollout-pictures figcaption');
    await until(async () => (await captions.nth(0).textContent()) === 'people@2: 1 box (yard, frame 9)');
    expect(await captions.nth(1).textContent()).toBe('people@3: 0 boxes (gate, frame 3)');
    await page.close();
  });

  it('holds at once, and asks before promoting or aborting', async () => {
    const rollouts = new RolloutPortDouble();
    const { page, live } = await open(rollouts);
    await page.click('[data-verb="hold"]');
    await until(() => rollouts.calls.length === 1);
    rollouts.report = rolloutReport({ state: 'holding', heldBy: 'anna' });
    live.tick();
    await until(async () => (await page.textContent('[data-verb="hold"]')) === 'Release');
    expect(await page.textContent('.rollout-head .badge')).toBe('Held by anna');
    await page.click('[data-verb="hold"]');
    await page.click('[data-verb="promote"]');
    expect(await page.textContent('#rollout-text')).toContain('people@3 goes to 50 % of the streams');
    await page.click('#rollout-dialog button[value="cancel"]');
    await page.click('[data-verb="promote"]');
    rollouts.report = rolloutReport({ step: 3, share: 50 });
    live.tick();
    await until(async () => (await page.textContent('.rollout-steps [data-phase="now"]')) === '50 %');
    await page.click('#rollout-do');
    await until(() => rollouts.calls.length === 3);
    await page.click('[data-verb="abort"]');
    await page.click('#rollout-do');
    await until(() => rollouts.calls.length === 4);
    expect(rollouts.calls, 'a promotion names the step of the question').toEqual([
      'hold by a client at 127.0.0.1',
      'resume by a client at 127.0.0.1',
      'promote step 2 of rollout-3 by a client at 127.0.0.1',
      'abort by a client at 127.0.0.1',
    ]);
    await page.close();
  });

  it.each(['aborted', 'rolled-back', 'promoted'] as const)(
    'lets a roll-out that was %s be dismissed, also after a reload, until the next one starts',
    async (state) => {
      const rollouts = new RolloutPortDouble(rolloutReport({ state, share: 0, endedMs: 1_700_000_090_000 }));
      const { page, live, complaints } = await open(rollouts);
      await page.click('[data-verb="dismiss"]');
      expect(await page.locator('#rollout:visible').count()).toBe(0);
      await page.reload();
      await until(() => live.watched.size === 0);
      live.tick();
      await page.waitForSelector('.wall-tile', { state: 'attached' });
      expect(await page.locator('#rollout:visible').count()).toBe(0);
      rollouts.report = rolloutReport({ id: 'rollout-4' });
      live.tick();
      await page.waitForSelector('#rollout:not([hidden])');
      expect(await page.locator('[data-verb="dismiss"]:visible').count(), 'one that runs cannot be').toBe(0);
      expect(complaints).toEqual([]);
      await page.close();
    },
  );

  it('says who or what it waits for', async () => {
    const rollouts = new RolloutPortDouble(rolloutReport({ state: 'holding', step: 5, share: 100 }));
    const { page, live } = await open(rollouts);
    expect(await page.textContent('.rollout-head .badge')).toBe('Waiting');
    expect(await page.textContent('.rollout-progress')).toMatch(/^100 % alone: 1 of 12 streams/);
    rollouts.report = rolloutReport({ state: 'aborted', waitsFor: null, share: 0 });
    live.tick();
    await until(async () => (await page.textContent('.rollout-head .badge')) === 'Aborted');
    expect(await page.locator('.rollout-waits:visible').count()).toBe(0);
    await page.close();
  });

  it('shows the guards of each camera: within the limit, beyond it with its figure, or too little compared', async () => {
    const finding = {
      stream: 'yard',
      estimate: 0.124,
      reason: 'On stream "yard" the median is 12 % higher; the limit is 10 %.',
    };
    const unknown = { stream: 'gate', verdict: 'no-data', estimate: null, reason: 'too little was compared' } as const;
    const guards = [
      guardReport('pass', { streams: [unknown] }),
      guardReport('undecided', { guard: 'p99', streams: [{ ...finding, verdict: 'undecided' }] }),
      guardReport('pass', { guard: 'confidence' }),
    ];
    const { page, complaints } = await open(
      new RolloutPortDouble(rolloutReport({ candidateStreams: ['gate', 'yard'], guards })),
    );
    expect(await page.locator('.guard-table thead th').allInnerTexts()).toEqual(['Camera', 'Agreement', 'P99']);
    const cells = (camera: string) =>
      page
        .locator(`[data-camera-guards="${camera}"] td`)
        .evaluateAll((nodes) =>
          nodes.map((node) => node.querySelector('[aria-label]')?.getAttribute('aria-label') ?? node.textContent),
        );
    expect(await cells('gate')).toEqual(['too little compared', 'within its limit']);
    expect(await cells('yard')).toEqual(['within its limit', '0.124, undecided']);
    // The one with trouble comes first, and is said in words.
    expect(await page.locator('.guard-table tbody th').allInnerTexts()).toEqual(['yard', 'gate']);
    expect(await page.locator('.camera-findings li').allInnerTexts()).toEqual([finding.reason]);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('starts a roll-out from the models that are here, with their quality and cost, and shows a refusal', async () => {
    const rollouts = new RolloutPortDouble(null);
    const live = new RuntimeDouble(['gate']);
    const summary = { family: 'yolox', inputWidth: 416, inputHeight: 416, isHere: true, labels: ['person'] };
    const cost = { engine: 'openvino', precision: 'bf16', frameMs: 7.14 };
    const models = async () => [
      { ...summary, name: live.host.device.model, reportedAp: 0.258, cost },
      { ...summary, name: 'yolox-s', reportedAp: 0.405, cost: null },
      { ...summary, name: 'deim', family: 'deim', reportedAp: null, cost: null },
      { ...summary, name: 'faces', labels: ['face'], reportedAp: 0.1, cost: null },
      { ...summary, name: 'yolox-l', reportedAp: 0.49, cost: null, isHere: false },
    ];
    const { url } = await openWholeGateway(live, { rollouts, models });
    const { page } = await visit(browser, `${url}/#system`);
    live.tick();
    const start = page.locator('.rollout-start');
    await start.waitFor();
    expect(await start.locator('tbody tr').allInnerTexts()).toEqual([
      expect.stringMatching(/^yolox-s\s+416 x 416\s+0\.405\s+not measured$/),
      expect.stringMatching(/ in use\s+416 x 416\s+0\.258\s+7\.1 ms, openvino bf16$/),
      expect.stringMatching(/^faces finds other classes: cannot take its place/),
      expect.stringMatching(/^deim\s+needs labels/),
    ]);
    rollouts.startRollout = () => Promise.reject(new SightlineError('ROLLOUT_RUNNING', 'rollout-3 is running'));
    await page.click('[data-model="yolox-s"] input');
    await start.locator('button').click();
    await until(async () => (await start.locator('.form-error').textContent()) === 'rollout-3 is running');
    const asked: unknown[] = [];
    const started = async (request: unknown) => {
      asked.push(request);
      rollouts.report = rolloutReport();
      live.tick();
      return rollouts.report;
    };
    // One that would be refused cannot be chosen; where labels are needed, the form asks for them.
    expect(await page.locator('[data-model="faces"] input').count()).toBe(0);
    expect(await start.locator('[name="labels"]').count()).toBe(0);
    await page.click('[data-model="deim"] input');
    await start.locator('[name="labels"]').waitFor();
    const inUse = live.host.device.model;
    const evaluation = {
      models: [
        { model: inUse, figures: { AP: 0.2 } },
        { model: 'deim', figures: { AP: 0.3 } },
      ],
      comparisons: [{ reference: inUse, candidate: 'deim', pictures: 200, interval: [-0.13, -0.07] }],
    };
    const buffer = Buffer.from(JSON.stringify(evaluation));
    await start.locator('[name="labels"]').setInputFiles({ name: 'eval.json', mimeType: 'application/json', buffer });
    rollouts.startRollout = (request) => {
      asked.push(request);
      return Promise.reject(new SightlineError('ROLLOUT_STATE', 'not now'));
    };
    await start.locator('button').click();
    await until(async () => (await start.locator('.form-error').textContent()) === 'not now');
    expect(asked.splice(0)).toMatchObject([
      { model: 'deim', labelled: { controlAp: 0.2, candidateAp: 0.3, control: inUse, pictures: 200 } },
    ]);
    rollouts.startRollout = started;
    await page.click('[data-model="yolox-s"] input');
    await page.fill('.rollout-start [name="steps"]', '25, 100');
    await page.check('.rollout-start [name="shadow"]');
    await start.locator('button').click();
    await page.waitForSelector('#rollout');
    expect(asked).toEqual([{ model: 'yolox-s', steps: [25, 100], holdMs: 60_000, shadow: true }]);
    await until(async () => (await start.count()) === 0);
    await page.close();
  });

  it('shows the end: undo after a promotion, and nothing before the first roll-out', async () => {
    const rollouts = new RolloutPortDouble(rolloutReport({ state: 'promoted', share: 100, step: 4 }));
    const { page, live } = await open(rollouts);
    expect(await page.locator('.rollout-actions button:visible').allInnerTexts()).toEqual(['Undo', 'Dismiss']);
    expect(await page.locator('.rollout-compare:visible').count()).toBe(0);
    rollouts.report = null;
    live.tick();
    await until(async () => (await page.locator('#rollout:visible').count()) === 0);
    await page.close();
  });
});
