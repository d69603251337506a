import axe from 'axe-core';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserPath, browserTitle, openBrowser, visit } from '../support/chromium.ts';
import { FleetDouble } from '../support/fleet-double.ts';
import { LiveDouble } from '../support/live-double.ts';
import { openGateway } from '../support/open-gateways.ts';
import { RolloutPortDouble } from '../support/rollout-port-double.ts';

/** Each violation with the elements that it is about. */
const RUN =
  'axe.run().then((found) => found.violations.map((each) => each.id + ": " + each.nodes.map((node) => node.target)))';
const CAMERA_TABS = ['places', 'events', 'figures', 'settings'].map((tab) => `#stream=gate-1/${tab}`);
const SCREENS = ['#wall', ...CAMERA_TABS, '#events', '#system'];

describe.skipIf(browserPath === undefined)(browserTitle('every screen, for everybody,'), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  it.each([
    ['light', 1280, 800],
    ['dark', 1280, 800],
    ['light', 390, 844],
    ['dark', 390, 844],
  ] as const)('%s, %i x %i: axe finds nothing', async (scheme, width, height) => {
    const port = await LiveDouble.create(12);
    const corners = [
      [0.2, 0.2],
      [0.6, 0.2],
      [0.6, 0.6],
    ];
    port.settings.set('gate-1', { labels: ['person'], zones: [{ id: 'yard', polygon: corners }] });
    const { url } = await openGateway(port, { rollouts: new RolloutPortDouble(), fleet: new FleetDouble(port) });
    port.tellHistory();
    const { page } = await visit(browser, url, scheme);
    await page.setViewportSize({ width, height });
    await page.evaluate(axe.source);
    for (const screen of [...SCREENS, 'figures']) {
      if (screen === 'figures') {
        await page.evaluate('location.hash = ""');
        await page.waitForSelector('#wall .wall-tile:visible');
        await page.keyboard.press('f');
      } else await page.evaluate(`location.hash = "${screen}"`);
      port.step();
      port.showPictures();
      await page.waitForSelector(screen === 'figures' ? '#figures tbody tr' : 'main > section:visible > *:visible');
      if (screen.includes('places')) await page.click('[data-place="zones[0]"] .place-pick');
      expect(await page.evaluate(RUN), screen).toEqual([]);
    }
    await page.close();
  });
});
