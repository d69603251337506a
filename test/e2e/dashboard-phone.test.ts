import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayOptions } from '../../src/serve/gateway/gateway-options.ts';
import type { OverloadReport } from '../../src/wire/protocol/overload.ts';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { LiveDouble } from '../support/live-double.ts';
import { openWholeGateway } from '../support/open-gateways.ts';
import { RolloutPortDouble, rolloutReport } from '../support/rollout-port-double.ts';
import { ruleEvent } from '../support/rule-events.ts';

const OVERLOAD: OverloadReport = {
  sinceMs: 0,
  stage: 'infer',
  askedFps: 100,
  doneFps: 40,
  remedies: [],
  text: 'Detection cannot keep up: 40 of 100 frames/s.',
};
const PHONE = { width: 390, height: 844 };

describe.skipIf(browserPath === undefined)(browserTitle('the dashboard by touch and by keyboard'), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  async function openPhone(count: number, options: Partial<GatewayOptions> = {}, query = '/') {
    const port = await LiveDouble.create(count);
    const { url } = await openWholeGateway(port, options);
    port.tellHistory();
    const { page, complaints } = await visit(browser, url);
    await page.setViewportSize(PHONE);
    await page.goto(`${url}${query}`);
    await page.waitForSelector('[data-stream="gate-1"]', { state: 'attached' });
    return { port, page, complaints };
  }

  const heightOf = async (page: Page, selector: string): Promise<number> =>
    (await page.locator(selector).boundingBox())!.height;
  const pageSize = (page: Page): Promise<{ width: number; height: number }> =>
    page.evaluate(
      '({ width: document.documentElement.scrollWidth, height: document.documentElement.scrollHeight })',
    ) as Promise<{ width: number; height: number }>;
  /** Elements that are shown and reach beyond the right edge of their container. */
  const cutOff = (page: Page, container: string): Promise<string[]> =>
    page.locator(container).evaluate((node) => {
      interface Box {
        readonly right: number;
        readonly width: number;
      }
      interface Part {
        readonly className: unknown;
        readonly tagName: string;
        getBoundingClientRect(): Box;
        querySelectorAll(selector: string): Iterable<Part>;
      }
      const whole = node as unknown as Part;
      const { right } = whole.getBoundingClientRect();
      return [...whole.querySelectorAll('*')]
        .filter((part) => part.getBoundingClientRect().width > 0 && part.getBoundingClientRect().right > right + 0.5)
        .map(({ tagName, className }) => `${tagName}.${String(className)}`);
    });

  it('says an alert and an overload in one line of at most 48 px, and the rest when asked', async () => {
    const { port, page } = await openPhone(4);
    port.alerts = [{ on: ['loiter'], to: ['webhook-1'], hold: '0s', group: '0s' }];
    port.host = { ...port.host, overload: OVERLOAD };
    await page.reload();
    const at = { at: new Date().toISOString() };
    const rule = ruleEvent('one', 0, 'new', { stream: 'gate-1', ...at, began: at, raised: at });
    await until(async () => {
      port.emitEvent({ type: 'event', timeMs: Date.now(), kind: 'rule', stream: 'gate-1', message: '', rule });
      port.tick();
      return (await page.locator('#state').getAttribute('data-state')) === 'alert';
    });
    await until(() => page.locator('.state-trouble').isVisible());
    expect(await heightOf(page, '#state')).toBeLessThanOrEqual(48);
    expect(await page.locator('#look').isVisible()).toBe(true);
    expect(await page.locator('.state-trouble').getAttribute('title')).toContain('cannot keep up');
    await page.click('#state-more');
    expect(await page.locator('.state-figures').isVisible()).toBe(true);
    expect(await heightOf(page, '#state')).toBeGreaterThan(48);
    // Remove is not beside Pause.
    await page.goto(`${page.url().split('#')[0]}#stream=gate-1`);
    const [pause, remove] = [page.locator('[aria-label="Pause gate-1"]'), page.locator('[aria-label="Remove gate-1"]')];
    await remove.waitFor();
    const [left, right] = [(await pause.boundingBox())!, (await remove.boundingBox())!];
    expect(right.x - left.x - left.width > 24 || right.y >= left.y + left.height).toBe(true);
    await page.close();
  });

  it('lists its keys', async () => {
    const { page, complaints } = await openPhone(1);
    await page.keyboard.press('?');
    expect(await page.locator('#keys-dialog').isVisible()).toBe(true);
    expect(await page.locator('#keys-dialog dt').allTextContents()).toContain('N');
    await page.keyboard.press('Escape');
    expect(await page.locator('#keys-dialog').isVisible()).toBe(false);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it.each([1, 4, 12])('fits a phone with %i streams', async (count) => {
    const { page, complaints } = await openPhone(count);
    expect(await heightOf(page, '.top')).toBeLessThanOrEqual(100);
    const { width, height } = await pageSize(page);
    expect(width).toBe(PHONE.width);
    // Twelve cameras are two screens, not six.
    expect(height).toBeLessThan(2 * PHONE.height);
    // Below the pictures is room for the tabs, and nothing else.
    const wall = (await page.locator('#wall').boundingBox())!;
    expect(height).toBeLessThanOrEqual(Math.max(PHONE.height, wall.y + wall.height + 80));
    expect(await cutOff(page, '.top')).toEqual([]);
    await page.click('[data-tab="events"]');
    const events = page.locator('#events .events-head');
    await events.waitFor();
    expect((await events.boundingBox())!.y).toBeLessThan(180);
    expect(await page.locator('#wall').isVisible()).toBe(false);
    await page.click('[data-tab="system"]');
    await page.waitForSelector('.panel-host');
    expect([await events.isVisible(), await page.locator('.panel-host').isVisible()]).toEqual([false, true]);
    await page.click('#tabs [data-tab="wall"]');
    expect(await page.locator('#wall').isVisible()).toBe(true);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('fits a phone with a token and on the page of a camera', async () => {
    const token = 'a-token-for-a-phone';
    const { port, page } = await openPhone(3, { token }, `/?token=${token}`);
    await page.waitForSelector('#sign-out:visible');
    expect(await heightOf(page, '.top')).toBeLessThanOrEqual(100);
    await page.click('[data-stream="gate-1"]');
    for (const tab of ['settings', 'places', 'figures', 'events']) {
      await page.click(`[data-camera-tab="${tab}"]`);
      port.tick();
      expect((await pageSize(page)).width, tab).toBe(PHONE.width);
      expect(await cutOff(page, '.camera-side'), tab).toEqual([]);
    }
    // Save and the picture stay in sight, however far down the form is.
    await page.click('[data-camera-tab="settings"]');
    await page.locator('.settings [name="scoreThreshold"]').scrollIntoViewIfNeeded();
    const save = (await page.locator('.settings button[type="submit"]').boundingBox())!;
    expect(save.y + save.height).toBeLessThanOrEqual(PHONE.height - 52);
    expect(save.height).toBeGreaterThanOrEqual(44);
    const picture = (await page.locator('[data-camera="gate-1"] .view').boundingBox())!;
    expect(picture.y).toBeGreaterThanOrEqual(0);
    await page.close();
  });

  it('shows the whole roll-out on a phone, and dismisses one that was aborted', async () => {
    const rollouts = new RolloutPortDouble();
    const { port, page } = await openPhone(4, { rollouts });
    await page.waitForSelector('.tab-note:visible');
    await page.click('[data-tab="system"]');
    await page.waitForSelector('#rollout:not([hidden]) .guards li');
    expect(await cutOff(page, '#rollout')).toEqual([]);
    expect((await pageSize(page)).width).toBe(PHONE.width);
    rollouts.report = rolloutReport({ state: 'aborted', endedMs: 1_700_000_100_000, reason: 'aborted by anna' });
    port.tick();
    await page.waitForSelector('[data-verb="dismiss"]:visible');
    expect(await cutOff(page, '#rollout')).toEqual([]);
    await page.click('[data-verb="dismiss"]');
    port.tick();
    expect(await page.locator('#rollout').isHidden()).toBe(true);
    await page.reload();
    await page.waitForSelector('[data-stream="gate-1"]', { state: 'attached' });
    expect(await page.locator('#rollout').isHidden()).toBe(true);
    await page.close();
  });

  it('has one tab stop for the wall; arrows move between cameras, Enter opens one, Escape leads back', async () => {
    const port = await LiveDouble.create(3);
    const { url } = await openWholeGateway(port);
    const { page } = await visit(browser, url);
    await page.waitForSelector('[data-stream="dock-1"][data-state]');
    const focused = (): Promise<string | null> => page.locator(':focus').getAttribute('data-stream');
    expect(await page.locator('.wall-tile[tabindex="0"]').count()).toBe(1);
    await page.focus('[data-stream="gate-1"]');
    const after = async (key: string): Promise<string | null> => {
      await page.keyboard.press(key);
      return focused();
    };
    expect(await after('ArrowRight')).toBe('yard-1');
    expect(await after('End')).toBe('dock-1');
    expect(await after('ArrowRight')).toBe('dock-1');
    expect(await after('ArrowLeft')).toBe('yard-1');
    expect(await after('Home')).toBe('gate-1');
    expect(await after('ArrowDown')).toBe('dock-1');
    // The camera that was used last is the tab stop.
    await page.focus('#filter');
    expect(await after('Tab')).not.toBe('gate-1');
    await page.focus('[data-stream="dock-1"]');
    await page.keyboard.press('Enter');
    await until(async () => (await page.locator(':focus').getAttribute('id')) === 'back');
    await page.waitForSelector('[data-camera="dock-1"]');
    // Reports go on meanwhile.
    port.tick();
    await page.waitForSelector('.settings .places-head:visible');
    await page.keyboard.press('Escape');
    await until(async () => (await focused()) === 'dock-1');
    await page.keyboard.press('/');
    expect(await page.locator(':focus').getAttribute('id')).toBe('filter');
    // What is typed is no command.
    await page.keyboard.press('f');
    expect(await page.locator('#figures').isVisible()).toBe(false);
    await page.close();
  });

  it('gives the focus back after a dialog, and when a camera goes', async () => {
    const port = await LiveDouble.create(3);
    const { url } = await openWholeGateway(port);
    const { page } = await visit(browser, `${url}/#stream=yard-1`);
    await page.waitForSelector('[data-camera="yard-1"]');
    await page.focus('[aria-label="Remove yard-1"]');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#remove-dialog[open]');
    await page.keyboard.press('Escape');
    await until(async () => (await page.locator(':focus').getAttribute('aria-label')) === 'Remove yard-1');
    // A button does one thing at a time, and the dialog says a moment later that it is closed.
    await page.waitForSelector('[aria-label="Remove yard-1"]:not([aria-disabled])');
    await page.keyboard.press('Enter');
    await page.click('#remove-dialog [value="remove"]');
    await until(async () => (await page.locator('[data-stream="yard-1"]').count()) === 0);
    // Its page is gone, and with it what had the focus.
    await until(async () => (await page.locator(':focus').getAttribute('data-stream')) === 'gate-1');
    await port.removeStream('gate-1');
    await until(async () => (await page.locator(':focus').getAttribute('data-stream')) === 'dock-1');
    await page.focus('#add');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#add-dialog[open]');
    await page.click('#add-cancel');
    expect(await page.locator(':focus').getAttribute('id')).toBe('add');
    await page.close();
  });
});
