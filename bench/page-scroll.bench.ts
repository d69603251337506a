import { type Browser, chromium } from 'playwright-core';
import { startGateway } from '../src/serve/gateway/server.ts';
import { LiveDouble } from '../test/support/live-double.ts';
import type { BenchContext } from './support/bench-context.ts';
import type { Section, SectionResult } from './support/section.ts';

const CAMERAS = 100;
/** Pictures of each camera in view, as a host sends them. */
const PICTURES_EVERY_MS = 500;
const REPORT_EVERY_MS = 1000;
const PX_PER_S = 900;
/** Of 60 frames/s; one that takes half as long again has missed its turn. */
const FRAME_MS = 1000 / 60;
const LATE_RATIO = 1.5;
/** Share of frames that may be late. */
const MOST_LATE = 0.01;
const WINDOWS = [
  { width: 1280, height: 800 },
  { width: 390, height: 844 },
] as const;
const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'];

interface Scroll {
  readonly fps: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly lateRatio: number;
}

/** Scrolls a wall of 100 cameras up and down, as their pictures and figures come, and takes the time of each frame. */
export const pageScroll: Section = {
  id: 'page-scroll',
  title: 'Scrolling 100 cameras',
  async run({ seconds }: BenchContext): Promise<SectionResult> {
    const port = await LiveDouble.create(CAMERAS);
    const gateway = await startGateway(port, { port: 0 });
    let hasPictures = true;
    const timers = [
      setInterval(() => port.step(), REPORT_EVERY_MS),
      setInterval(() => void (hasPictures && port.showPictures()), PICTURES_EVERY_MS),
    ];
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
      args: ARGUMENTS,
    });
    const scrolls: { readonly window: string; readonly scroll: Scroll }[] = [];
    try {
      for (const viewport of WINDOWS)
        for (hasPictures of [true, false]) {
          const scroll = await scrollWall(browser, gateway.url, viewport, seconds * 1000);
          const window = `${viewport.width}x${viewport.height}${hasPictures ? '' : ', without new pictures'}`;
          scrolls.push({ window, scroll });
        }
    } finally {
      for (const timer of timers) clearInterval(timer);
      await browser.close();
      await gateway.close();
    }
    const rows = scrolls.map(({ window, scroll: { fps, p50Ms, p99Ms, lateRatio } }) => [
      ...[window, fps.toFixed(1), p50Ms.toFixed(1), p99Ms.toFixed(1), `${(100 * lateRatio).toFixed(1)} %`],
    ]);
    return {
      tables: [
        { caption: 'Frames while scrolling', rows: [['window', 'frames/s', 'p50 ms', 'p99 ms', 'late'], ...rows] },
      ],
      targets: scrolls.map(({ window, scroll }) => ({
        what: `late frames, ${window}`,
        measured: scroll.lateRatio,
        target: MOST_LATE,
        want: 'at most',
        unit: '',
      })),
      notes: [
        `${PX_PER_S} px/s up and down; ${1000 / PICTURES_EVERY_MS} pictures a second of each camera in view. A frame is late after ${(LATE_RATIO * FRAME_MS).toFixed(0)} ms. Chromium draws without a GPU.`,
      ],
      data: scrolls,
    };
  },
};

async function scrollWall(
  browser: Browser,
  url: string,
  viewport: { readonly width: number; readonly height: number },
  scrollMs: number,
): Promise<Scroll> {
  const page = await browser.newPage({ viewport });
  try {
    await page.goto(url);
    await page
      .locator('.wall-tile')
      .nth(CAMERAS - 1)
      .waitFor({ state: 'attached' });
    const timesMs = await page.evaluate<number[]>(scrollAndTime(scrollMs));
    const sorted = timesMs.toSorted((a, b) => a - b);
    const at = (ratio: number): number => sorted[Math.ceil(ratio * sorted.length) - 1]!;
    const late = sorted.filter((ms) => ms > LATE_RATIO * FRAME_MS).length;
    const totalMs = sorted.reduce((sum, ms) => sum + ms, 0);
    return {
      fps: (1000 * sorted.length) / totalMs,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      lateRatio: late / sorted.length,
    };
  } finally {
    await page.close();
  }
}

/** Scrolls down, up, and down again. @returns what the page evaluates: the time of each frame, in milliseconds. */
function scrollAndTime(scrollMs: number): string {
  return `new Promise((resolve) => {
    const root = document.documentElement;
    const timesMs = [];
    let startMs = 0;
    let lastMs = 0;
    const step = (nowMs) => {
      if (startMs === 0) startMs = nowMs;
      else timesMs.push(nowMs - lastMs);
      lastMs = nowMs;
      const way = root.scrollHeight - root.clientHeight;
      const gone = ((nowMs - startMs) / 1000) * ${PX_PER_S};
      scrollTo(0, way - Math.abs((gone % (2 * way)) - way));
      if (nowMs - startMs < ${scrollMs}) requestAnimationFrame(step);
      else resolve(timesMs);
    };
    requestAnimationFrame(step);
  })`;
}
