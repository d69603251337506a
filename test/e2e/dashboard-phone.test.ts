import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayOptions } from '../../src/gateway/gateway-options.ts';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { LiveDouble } from '../support/live-double.ts';
import { openGateway } from '../support/open-gateways.ts';
import { RolloutPortDouble, rolloutReport } from '../support/rollout-port-double.ts';

const PHONE = { width: 390, height: 844 };

describe.skipIf(browserPath === undefined)(browserTitle('the dashboard by touch and by keyboard'), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  async function openPhone(count: number, options: Partial<GatewayOptions> = {}, query = '/') {
    const port = await LiveDouble.create(count);
    const { url } = await openGateway(port, options);
    port.tellHistory();
    const { page, complaints } = await visit(browser, url);
    await page.setViewportSize(PHONE);
    await page.goto(`${url}${query}`);
    await page.waitForSelector('[data-stream="gate-1"] .badge:not(:empty)');
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

  it.each([1, 4, 12])('fits a phone with %i streams', async (count) => {
    const { page, complaints } = await openPhone(count);
    expect(await heightOf(page, '.top')).toBeLessThanOrEqual(100);
    const { width, height } = await pageSize(page);
    expect(width).toBe(PHONE.width);
    // Twelve cameras are two screens, not six.
    if (count > 1) expect(height).toBeLessThan(2 * PHONE.height);
    // Below the cards is room for the tabs, and nothing else.
    const cards = (await page.locator('#grid').boundingBox())!;
    expect(height).toBeLessThanOrEqual(Math.max(PHONE.height, cards.y + cards.height + 80));
    expect(await cutOff(page, '.top')).toEqual([]);
    await page.click('[data-tab="events"]');
    const events = page.locator('.panel > .panel-events');
    expect((await events.boundingBox())!.y).toBeLessThan(150);
    expect(await page.locator('#grid').isVisible()).toBe(false);
    await page.click('[data-tab="host"]');
    expect([await events.isVisible(), await page.locator('.panel-host').isVisible()]).toEqual([false, true]);
    await page.click('[data-tab="streams"]');
    expect(await page.locator('#grid').isVisible()).toBe(true);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('fits a phone with a token and in the focus view', async () => {
    const token = 'a-token-for-a-phone';
    const { page } = await openPhone(3, { token }, `/?token=${token}#stream=gate-1`);
    await page.waitForSelector('#sign-out:visible');
    expect(await heightOf(page, '.top')).toBeLessThanOrEqual(100);
    await page.waitForSelector('.settings .field');
    expect((await pageSize(page)).width).toBe(PHONE.width);
    expect(await cutOff(page, '.focus')).toEqual([]);
    await page.close();
  });

  it('shows the whole roll-out on a phone, and dismisses one that was aborted', async () => {
    const rollouts = new RolloutPortDouble();
    const { port, page } = await openPhone(4, { rollouts });
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
    await page.waitForSelector('[data-stream="gate-1"]');
    expect(await page.locator('#rollout').isHidden()).toBe(true);
    await page.close();
  });

  it('has one tab stop for each camera, and arrow keys inside', async () => {
    const port = await LiveDouble.create(3);
    const { url } = await openGateway(port);
    const { page } = await visit(browser, url);
    await page.waitForSelector('[data-stream="dock-1"] .badge:not(:empty)');
    const focused = (): Promise<string | null> => page.locator(':focus').getAttribute('aria-label');
    await until(async () => (await page.locator('.card-buttons [tabindex="0"]').count()) === 3);
    await page.focus('[data-stream="gate-1"] .card-buttons [tabindex="0"]');
    expect(await focused()).toBe('Pause gate-1');
    const after = async (key: string): Promise<string | null> => {
      await page.keyboard.press(key);
      return focused();
    };
    expect(await after('ArrowRight')).toBe('Details and settings of gate-1');
    expect(await after('ArrowRight')).toBe('Remove gate-1');
    expect(await after('ArrowRight')).toBe('Pause gate-1');
    expect(await after('End')).toBe('Remove gate-1');
    expect(await after('Tab')).toBe('Pause yard-1');
    expect(await after('Tab')).toBe('Pause dock-1');
    expect(await after('Shift+Tab')).toBe('Pause yard-1');
    // The button that was used last is the tab stop.
    expect(await after('Shift+Tab')).toBe('Remove gate-1');
    await page.close();
  });

  it('gives the focus back after a dialog, after the focus view, and when a card goes', async () => {
    const port = await LiveDouble.create(3);
    const { url } = await openGateway(port);
    const { page } = await visit(browser, url);
    await page.waitForSelector('[data-stream="dock-1"] .badge:not(:empty)');
    const focused = (): Promise<string | null> => page.locator(':focus').getAttribute('aria-label');
    await page.focus('[aria-label="Remove yard-1"]');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#remove-dialog[open]');
    await page.keyboard.press('Escape');
    await until(async () => (await focused()) === 'Remove yard-1');

    await page.focus('[aria-label="Details and settings of yard-1"]');
    await page.keyboard.press('Enter');
    await until(async () => (await page.locator(':focus').textContent()) === 'All streams');
    // Reports go on meanwhile.
    port.tick();
    await page.waitForSelector('.settings [name="source"]:visible');
    await page.keyboard.press('Escape');
    await until(async () => (await focused()) === 'Details and settings of yard-1');

    await page.keyboard.press('End');
    await page.keyboard.press('Enter');
    await page.click('#remove-dialog [value="remove"]');
    await until(async () => (await page.locator('[data-stream="yard-1"]').count()) === 0);
    await until(async () => (await focused()) === 'Pause dock-1');
    await page.focus('#add');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#add-dialog[open]');
    await page.click('#add-cancel');
    expect(await page.locator(':focus').getAttribute('id')).toBe('add');
    await page.close();
  });
});
