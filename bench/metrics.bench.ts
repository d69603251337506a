import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { gzipSync } from 'node:zlib';
import { startGateway } from '../src/serve/gateway/server.ts';
import { FeedPort, recordClip } from './support/feed-port.ts';
import type { Section, SectionResult } from './support/section.ts';

const STREAMS = [1, 100, 1000] as const;
/** Half of the streams have this target, the others another one: two targets add edges to all histograms. */
const TARGETS_MS = [130, 400];
const SCRAPES = 9;
const LIMIT_MS = 200;

interface Scrape {
  readonly streams: number;
  readonly series: number;
  readonly bytes: number;
  readonly zippedBytes: number;
  /** Median time until the whole answer is there. */
  readonly ms: number;
  /** Longest time in which the main thread did nothing else. */
  readonly stallMs: number;
}

/** Measures what Prometheus costs a gateway: time of a scrape, size, and how long the main thread is held up. */
export const metrics: Section = {
  id: 'metrics',
  title: 'Scrapes of /metrics',
  async run(context): Promise<SectionResult> {
    const { report } = await recordClip(context);
    const runs: Scrape[] = [];
    for (const count of STREAMS) {
      const streams = Array.from({ length: count }, (_, i) => ({
        ...report.streams[0]!,
        id: `camera-${i}`,
        target: { fps: 10, latencyMs: TARGETS_MS[i % 2]! },
      }));
      runs.push(await scrape(new FeedPort({ ...report, streams }), count));
    }
    const most = runs.at(-1)!;
    const rows = runs.map(({ streams, series, bytes, zippedBytes, ms, stallMs }) => [
      ...[`${streams}`, `${series}`, (bytes / 1e6).toFixed(2), (zippedBytes / 1e6).toFixed(2)],
      ...[`${ms.toFixed(0)} ms`, `${stallMs.toFixed(0)} ms`],
    ]);
    const head = ['streams', 'series', 'MB', 'MB, gzip', 'scrape', 'main thread held up'];
    return {
      tables: [{ caption: 'A scrape', rows: [head, ...rows] }],
      targets: [{ what: 'scrape of 1,000 streams', measured: most.ms, target: LIMIT_MS, want: 'at most', unit: 'ms' }],
      notes: [`Median of ${SCRAPES} scrapes over HTTP from the same process; two targets, no zones and lines.`],
      data: runs,
    };
  },
};

async function scrape(port: FeedPort, streams: number): Promise<Scrape> {
  const gateway = await startGateway(port, { port: 0 });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  try {
    const times: number[] = [];
    let text = '';
    for (let i = 0; i <= SCRAPES; i++) {
      // The first one compiles the code.
      if (i === 1) delay.enable();
      const startedMs = performance.now();
      text = await (await fetch(`${gateway.url}/metrics`)).text();
      times.push(performance.now() - startedMs);
    }
    delay.disable();
    const series = text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
    const bytes = Buffer.byteLength(text);
    const ms = times.slice(1).sort((a, b) => a - b)[Math.floor(SCRAPES / 2)]!;
    return { streams, series, bytes, zippedBytes: gzipSync(text).length, ms, stallMs: delay.max / 1e6 };
  } finally {
    await gateway.close();
  }
}
