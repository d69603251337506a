import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeReport } from '../../src/lab/optimize/report/write-report.ts';
import { browserPath, browserTitle, openBrowser } from '../support/chromium.ts';
import { sampleOptimisation } from '../support/sample-optimisation.ts';

/** Pairs of labels of a visible drawing that cover each other by more than a pixel, and labels outside of their drawing. */
const LABEL_FAULTS = `(() => {
  const faults = [];
  for (const svg of document.querySelectorAll('svg')) {
    const own = svg.getBoundingClientRect();
    if (own.width === 0) continue;
    const name = svg.getAttribute('aria-label');
    const labels = [...svg.querySelectorAll('text')].map((text) => [text.textContent, text.getBoundingClientRect()]);
    labels.forEach(([text, box], i) => {
      if (box.left < own.left - 1 || box.right > own.right + 1 || box.bottom > own.bottom + 1)
        faults.push(name + ': "' + text + '" is outside');
      for (const [otherText, other] of labels.slice(i + 1)) {
        const wide = Math.min(box.right, other.right) - Math.max(box.left, other.left);
        const high = Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top);
        // Line boxes are taller than letters: two lines may touch.
        if (wide > 1 && high > 4) faults.push(name + ': "' + text + '" covers "' + otherText + '"');
      }
    });
  }
  return faults;
})()`;

/** Texts whose contrast with the surface below them is under 4.5 (WCAG 2 AA), by their colours. */
const FAINT_TEXTS = `(() => {
  const luminance = (colour) => {
    const [r, g, b] = (colour.match(/[\\d.]+/g) ?? []).slice(0, 3).map((text) => {
      const share = Number(text) / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const surface = (element) => {
    for (let at = element; at !== null; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (colour !== 'rgba(0, 0, 0, 0)') return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const faults = new Set();
  for (const element of document.querySelectorAll('p, td, th, a, code, dt, dd, h1, h2, h3, summary, figcaption, .tone')) {
    const [front, back] = [luminance(getComputedStyle(element).color), luminance(surface(element))];
    const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (contrast < 4.5) faults.add(element.tagName + '.' + element.className + ' ' + contrast.toFixed(2));
  }
  return [...faults];
})()`;

describe.skipIf(browserPath === undefined)(browserTitle('the report of an optimisation'), () => {
  let folder: string;
  let browser: Browser;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'report-page-'));
    const sample = sampleOptimisation();
    const faster = {
      configuration: sample.pareto[0]!.configuration,
      file: 'report/faster.yaml',
      review: 'review.html',
      ap: 0.378,
      speedup: { ratio: 21.5, interval: [21, 22] as const },
      differences: [
        {
          kind: 'class' as const,
          subject: 'handbag',
          text: 'handbag: today 121 in the clip, this one none; too few to judge',
        },
      ],
      measurements: [],
      quality: null,
    };
    await writeReport(folder, sampleOptimisation({ faster }));
    browser = await openBrowser();
  });

  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function visit(name: string, width: number): Promise<{ page: Page; requests: string[] }> {
    const page = await browser.newPage({ viewport: { width, height: 900 } });
    const requests: string[] = [];
    page.on('request', (request) => requests.push(request.url()));
    await page.goto(`file://${join(folder, name)}`);
    return { page, requests };
  }

  it.each([1280, 768, 390, 360])(
    'fits %d pixels, folded and open: nothing sticks out, no label covers another, every text is legible',
    async (width) => {
      const { page, requests } = await visit('report.html', width);
      try {
        const chapters = page.locator('main > details');
        expect(await chapters.count()).toBeGreaterThan(7);
        expect(await page.locator('main > details[open]').count()).toBe(0);
        await page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
        expect(await page.evaluate(LABEL_FAULTS)).toEqual([]);
        expect(await page.evaluate(FAINT_TEXTS)).toEqual([]);
        expect(requests.filter((url) => !url.startsWith('file:'))).toEqual([]);
      } finally {
        await page.close();
      }
    },
  );

  it('has everything that a manager needs on the first screen', async () => {
    const { page } = await visit('report.html', 1280);
    try {
      const bottomOf = (selector: string): Promise<number> =>
        page.evaluate(`document.querySelector('${selector}').getBoundingClientRect().bottom`);
      expect(await bottomOf('.cards-row')).toBeLessThan(900);
      expect(await page.locator('.card').count()).toBe(3);
    } finally {
      await page.close();
    }
  });

  it('opens the chapter that a link leads to', async () => {
    const { page } = await visit('report.html#m001', 1280);
    try {
      await page.locator('#m001').waitFor({ state: 'attached' });
      expect(await page.locator('details[open] #m001').count()).toBe(1);
    } finally {
      await page.close();
    }
  });
});
