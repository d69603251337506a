import { existsSync } from 'node:fs';
import { type Browser, type ConsoleMessage, chromium, type Page } from 'playwright-core';
import { expect } from 'vitest';

const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/snap/bin/chromium'];
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** undefined where this machine has none. */
export const browserPath = [process.env.CHROMIUM_PATH, ...BROWSERS].find(
  (path) => path !== undefined && existsSync(path),
);

/** Title of a group of tests that need a browser: says aloud why they are skipped. */
export function browserTitle(what: string): string {
  return browserPath === undefined
    ? `${what} (skipped: no Chromium found; install it or set CHROMIUM_PATH)`
    : `${what} in Chromium`;
}

export function openBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: browserPath!, args: ARGUMENTS });
}

export interface OpenPage {
  readonly page: Page;
  /** Errors and warnings of the page, refused content included. */
  readonly complaints: string[];
}

export async function visit(browser: Browser, url: string, scheme: 'dark' | 'light' = 'dark'): Promise<OpenPage> {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, colorScheme: scheme });
  const complaints: string[] = [];
  page.on('console', (message: ConsoleMessage) => {
    // This one is about us: the page never reads its pixels back, only the test does, again and again while it waits.
    if (message.text().includes('Multiple readback operations using getImageData')) return;
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(url);
  return { page, complaints };
}

/** Waits in real time: the browser is real. */
export async function until(claim: () => boolean | Promise<boolean>): Promise<void> {
  await expect.poll(claim, { timeout: 15_000, interval: 100 }).toBe(true);
}
