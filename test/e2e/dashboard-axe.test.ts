import axe from 'axe-core';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserPath, browserTitle, openBrowser, visit } from '../support/chromium.ts';
import { FleetDouble } from '../support/fleet-double.ts';
import { LiveDouble } from '../support/live-double.ts';
import { openWholeGateway } from '../support/open-gateways.ts';
import { RolloutPortDouble } from '../support/rollout-port-double.ts';
import { ruleEvent, ruleTrial } from '../support/rule-events.ts';
import { alertFigures } from '../support/sample-reports.ts';

/** Each violation with the elements that it is about. */
const RUN =
  'axe.run().then((found) => found.violations.map((each) => each.id + ": " + each.nodes.map((node) => node.target)))';
const RULE = { id: 'stays', kind: 'dwells', zone: 'yard', for: '15s', times: { on: ['daily 08:00-18:00'] } };
const CAMERA_TABS = ['places', 'events', 'figures', 'settings'].map((tab) => `#stream=gate-1/${tab}`);
const EVENTS = ['#events', '#events?event=lasts', '#events?show=alerts', '#events?show=log', '#events?stream=gate-3'];
const SCREENS = ['#wall', ...CAMERA_TABS, ...EVENTS, '#system'];

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
    port.settings.set('gate-1', { labels: ['person'], zones: [{ id: 'yard', polygon: corners }], events: [RULE] });
    port.tryRules = async () => ruleTrial([RULE.id], 9);
    const { url } = await openWholeGateway(port, { rollouts: new RolloutPortDouble(), fleet: new FleetDouble(port) });
    port.tellHistory();
    port.alerts = [{ on: ['loiter'], to: ['webhook-1'], hold: '10m', group: '30s' }];
    port.host = { ...port.host, alerts: { 'webhook-1': alertFigures() } };
    for (const id of ['lasts', 'other']) {
      const at = new Date(port.timeMs).toISOString();
      const best = { frame: 1, box: [600, 300, 60, 120], score: 0.9, width: 1280, height: 720 } as const;
      const path = [
        [0.1, 0.5],
        [0.5, 0.5],
      ] as const;
      const rule = ruleEvent(id, 0, 'new', {
        stream: 'gate-1',
        zone: 'yard',
        at,
        began: { at },
        raised: { at },
        best,
        path,
      });
      port.emitEvent({
        type: 'event',
        timeMs: port.timeMs,
        kind: 'rule',
        stream: 'gate-1',
        message: rule.reason,
        rule,
      });
    }
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
      if (screen.includes('event=')) await page.waitForSelector('.event-detail');
      if (screen.includes('places')) {
        await page.click('[data-place="zones[0]"] .place-pick');
        await page.click('[data-rule="0"] .place-pick');
        await page.waitForSelector('.tried-times button');
        await page.locator('.tried-times button').first().click();
      }
      expect(await page.evaluate(RUN), screen).toEqual([]);
    }
    await page.close();
  });
});
