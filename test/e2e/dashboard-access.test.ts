import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Gateway } from '../../src/serve/gateway/gateway-options.ts';
import { browserPath, browserTitle, openBrowser, until, visit } from '../support/chromium.ts';
import { LiveDouble } from '../support/live-double.ts';
import { openWholeGateway } from '../support/open-gateways.ts';
import { RolloutPortDouble } from '../support/rollout-port-double.ts';
import { TokensFolder, tokenOf, tokenRecord } from '../support/tokens-folder.ts';

/** Set to a folder to keep pictures of the pages. */
const PICTURES = process.env.SCREENSHOTS;

describe.skipIf(browserPath === undefined)(browserTitle('the dashboard of a role'), () => {
  const files = new TokensFolder();
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser.close();
    files.remove();
  });

  async function open(port: LiveDouble): Promise<Gateway> {
    files.writeRoles();
    const tokensFile = { path: files.path, mustExist: true };
    return openWholeGateway(port, { tokensFile, rollouts: new RolloutPortDouble() });
  }

  /** Signs in with the form and waits for the streams. */
  async function signIn(page: Page, name: string): Promise<void> {
    await page.fill('#token', tokenOf(name));
    await page.keyboard.press('Enter');
    await page.waitForSelector('[data-stream="gate-1"]');
    await until(async () => (await page.textContent('#who')) === `${name}, ${name}`);
  }

  async function picture(page: Page, name: string): Promise<void> {
    if (PICTURES !== undefined) await page.screenshot({ path: `${PICTURES}/${name}.png` });
  }

  const CONTROLS = {
    add: '#add',
    open: '[data-stream="gate-1"]',
    pause: 'button[aria-label="Pause gate-1"]',
    remove: 'button[aria-label="Remove gate-1"]',
    promote: '[data-verb="promote"]',
  };

  it.each([
    ['viewer', ['open']],
    ['operator', ['add', 'open', 'pause', 'remove']],
    ['admin', ['add', 'open', 'pause', 'remove', 'promote']],
  ])('%s: shows what may be used, and works', async (role, shown) => {
    const port = await LiveDouble.create(2);
    const { url } = await open(port);
    const { page, complaints } = await visit(browser, url);
    await picture(page, `sign-in-${role}`);
    // Without a token the page itself is refused, and Chromium says so.
    expect(complaints.splice(0)).toEqual([expect.stringContaining('401')]);
    await signIn(page, role);
    expect(page.url()).toBe(`${url}/`);
    await page.waitForSelector('.tab-note:visible');
    await until(() => port.watched.has('gate-1'));
    port.showPictures();
    const visible = new Set<string>();
    const look = async (): Promise<void> => {
      for (const [name, selector] of Object.entries(CONTROLS)) if (await page.isVisible(selector)) visible.add(name);
    };
    await look();
    await picture(page, role);
    await page.click(CONTROLS.open);
    await page.waitForSelector('[data-camera="gate-1"]');
    await look();
    if (role === 'operator') {
      await page.click(CONTROLS.pause);
      await until(async () => (await page.locator('[data-camera="gate-1"] .badge').textContent()) === 'Paused');
    }
    // The address of a tab that a role does not have leads to the first one.
    await page.evaluate("location.hash = '#stream=gate-1/settings'");
    const tab = page.locator('[data-camera="gate-1"] [aria-current="page"]');
    await until(async () => (await tab.textContent()) === (role === 'viewer' ? 'Zones and rules' : 'Settings'));
    await page.click('[data-tab="system"]');
    await page.waitForSelector('.rollout:visible');
    await look();
    expect([...visible]).toEqual(shown);
    expect(complaints).toEqual([]);

    await page.click('#sign-out');
    await page.waitForSelector('#token');
    await page.reload();
    await page.waitForSelector('#token');
    await page.context().close();
  });

  it('refuses a wrong token and one for metrics in words', async () => {
    const { url } = await open(await LiveDouble.create(1));
    const { page } = await visit(browser, url);
    await page.fill('#token', 'a guess of somebody');
    await page.keyboard.press('Enter');
    await until(async () => (await page.textContent('.form-error'))!.includes('not valid'));
    await picture(page, 'wrong');
    await page.fill('#token', tokenOf('metrics'));
    await page.keyboard.press('Enter');
    await until(async () => (await page.textContent('.form-error'))!.includes('for metrics only'));
    await page.context().close();
  });

  it('follows a new role at once, and asks for a token when the old one was removed', async () => {
    const { url } = await open(await LiveDouble.create(1));
    const { page } = await visit(browser, url);
    await signIn(page, 'operator');
    expect(await page.isVisible('#add')).toBe(true);

    files.write(tokenRecord('operator', 'viewer'));
    await until(async () => (await page.textContent('#who').catch(() => '')) === 'operator, viewer');
    expect(await page.isVisible('#add')).toBe(false);

    files.write();
    await page.waitForSelector('#token');
    await page.context().close();
  });

  it('shows everything and nobody on a gateway without tokens', async () => {
    const { url } = await openWholeGateway(await LiveDouble.create(1));
    const { page, complaints } = await visit(browser, url);
    await page.waitForSelector('#add');
    expect(await page.isVisible('#signed-in')).toBe(false);
    expect(complaints).toEqual([]);
    await page.context().close();
  });
});
