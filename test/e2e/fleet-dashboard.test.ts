import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { FleetDouble } from '../support/fleet-double.ts';
import { hostCard } from '../support/fleet-plane.ts';
import { LiveDouble } from '../support/live-double.ts';
import { openWholeGateway } from '../support/open-gateways.ts';
import { scaleReport } from '../support/sample-reports.ts';

describe.skipIf(browserPath === undefined)(browserTitle('dashboard of a fleet'), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser.close());

  interface Visited {
    readonly page: Page;
    readonly complaints: string[];
    readonly live: LiveDouble;
    readonly fleet: FleetDouble;
  }

  async function open(count = 12): Promise<Visited> {
    const live = await LiveDouble.create(count);
    const fleet = new FleetDouble(live);
    const { url } = await openWholeGateway(live, { fleet });
    const { page, complaints } = await visit(browser, `${url}/#system`);
    await page.waitForSelector('[data-host="rack-7"]');
    return { page, complaints, live, fleet };
  }

  const text = async (page: Page, selector: string): Promise<string> =>
    (await page.locator(selector).allInnerTexts()).join().trim();

  it('shows hosts with their load, jobs with their progress, and the recommended number of hosts', async () => {
    const { page, complaints } = await open();
    expect(await page.locator('[data-host]').count()).toBe(3);
    expect(await text(page, '[data-host="edge-1"]')).toMatch(
      /edge-1\s+Ready[\s\S]*137 of 184\/s, 74 %\s+4 streams, 2 segments/,
    );
    expect(await page.locator('[data-host="edge-1"] .meter').getAttribute('aria-valuenow')).toBe('74');
    expect(await text(page, '[data-job="archive-november"]')).toMatch(
      /19\/48 files, 184K frames\s+42 %, 12 min 34 s left/,
    );
    expect(await text(page, '.fleet-summary')).toBe(
      '3 hosts, 558 of 778 inferences/s (72 %). 12 streams placed, 0 waiting.',
    );
    expect(await text(page, '.fleet-scale')).toMatch(/^4 hosts recommended\. Live streams take 74 %/);
    expect(await page.locator('.fleet-scale').getAttribute('data-change')).toBe('more');
    expect(await text(page, '.fleet-part-head .fleet-note')).toBe('7 tasks running, 46 waiting, oldest for 1 min 35 s');
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('shows the host of each stream, and on a click only the streams of one host', async () => {
    const { page } = await open();
    await page.click('[data-tab="wall"]');
    await until(async () => (await text(page, '[data-stream="gate-1"] .tile-host')) === 'edge-1');
    expect(await text(page, '[data-stream="yard-1"] .tile-host')).toBe('edge-2');
    await page.click('[data-tab="system"]');
    await page.click('[data-host="edge-2"] .link');
    await until(async () => (await page.locator('.wall-tile:visible').count()) === 4);
    await page.click('[data-tab="system"]');
    await page.click('[data-host="edge-2"] .link');
    await page.click('[data-tab="wall"]');
    await until(async () => (await page.locator('.wall-tile:visible').count()) === 12);
    await page.close();
  });

  it('drains and undrains a host', async () => {
    const { page, fleet } = await open();
    await page.click('button[aria-label="Drain edge-2"]');
    await until(async () => (await text(page, '[data-host="edge-2"] .badge')) === 'Draining');
    await page.click('button[aria-label="Undrain edge-2"]');
    await until(async () => (await text(page, '[data-host="edge-2"] .badge')) === 'Ready');
    expect(fleet.calls).toEqual(['drain edge-2', 'undrain edge-2']);
    await page.close();
  });

  it('asks before cancelling a job, shows failed tasks and retries them', async () => {
    const { page, fleet } = await open();
    await page.click('button[aria-label="Cancel archive-november"]');
    await page.click('#cancel-dialog button[value="keep"]');
    await page.click('button[aria-label="Cancel archive-november"]');
    await page.click('#cancel-dialog button[value="cancel-job"]');
    await until(async () => (await text(page, '[data-job="archive-november"] .badge')) === 'Cancelled');

    expect(await text(page, '[data-job="dock-recount"] .link-bad')).toBe('2 tasks failed');
    await page.click('[data-job="dock-recount"] .link-bad');
    await until(async () => (await page.locator('.letter').count()) === 2);
    expect(await text(page, '#letters')).toContain('split of /srv/footage/dock-3.mp4\nSOURCE_UNREADABLE: moov atom');
    await page.keyboard.press('Escape');
    await page.click('button[aria-label="Retry dock-recount"]');
    await until(async () => (await text(page, '[data-job="dock-recount"] .badge')) === 'Running');
    expect(fleet.calls).toEqual(['cancel archive-november', 'retry dock-recount']);
    await page.close();
  });

  it('shows a refusal of the fleet in a toast', async () => {
    const { page, fleet } = await open();
    fleet.hosts.delete('edge-2');
    await page.click('button[aria-label="Drain edge-2"]');
    await until(async () => (await text(page, '#toasts')).includes('host "edge-2": not found'));
    await page.close();
  });

  it('shows hosts that join, fall silent and leave, sorted by name', async () => {
    const { page, fleet, live } = await open();
    const rows = (): Promise<(string | null)[]> =>
      page.locator('[data-host]').evaluateAll((nodes) => nodes.map((node) => node.getAttribute('data-host')));
    fleet.hosts.clear();
    for (const id of ['edge-2', 'edge-3']) {
      fleet.hosts.set(id, { ...hostCard(id), state: 'ready', lastSeenMs: live.timeMs });
    }
    fleet.hosts.set('rack-7', { ...hostCard('rack-7'), state: 'silent', lastSeenMs: live.timeMs - 11_000 });
    fleet.scale = { ...scaleReport(2), reason: 'Two are enough.' };
    live.tick();
    await until(async () => (await rows()).join() === 'edge-2,edge-3,rack-7');
    expect(await text(page, '[data-host="rack-7"] .badge')).toBe('Silent for 12 s');
    expect(await page.locator('[data-host="rack-7"] button.button-small').isVisible()).toBe(false);
    expect(await text(page, '.fleet-scale')).toBe('The fleet has the right size');
    await page.close();
  });

  it('shows names and reasons as text, even if they contain markup', async () => {
    const { page, fleet, live, complaints } = await open(1);
    const evil = '<img src=x onerror="document.title=\'owned\'">';
    fleet.hosts.set('edge-1', { ...fleet.hosts.get('edge-1')!, model: evil, pipeline: evil });
    fleet.scale = { ...scaleReport(9), reason: evil };
    fleet.letters[0] = { ...fleet.letters[0]!, reason: evil, input: evil };
    live.tick();
    await until(async () => (await text(page, '.fleet-scale')).includes(evil));
    await page.click('[data-job="dock-recount"] .link-bad');
    await until(async () => (await text(page, '#letters')).includes(evil));
    expect(await page.title()).toBe('Sightline');
    expect(await page.locator('img[src="x"]').count()).toBe(0);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('is hidden outside a fleet', async () => {
    const live = await LiveDouble.create(2);
    const { url } = await openWholeGateway(live);
    const { page, complaints } = await visit(browser, url);
    await page.waitForSelector('[data-stream="gate-1"]');
    live.tick();
    await until(async () => (await text(page, '#connection')) === 'Live');
    expect(await page.locator('#fleet').isVisible()).toBe(false);
    expect(await page.locator('.tile-host:visible').count()).toBe(0);
    await page.click('[data-tab="system"]');
    expect(await page.locator('#fleet').isVisible()).toBe(false);
    expect(complaints).toEqual([]);
    await page.close();
  });
});
