import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { Sightline } from '../src/sightline.ts';
import type { BenchContext } from './support/bench-context.ts';
import { ms, percent } from './support/format.ts';
import type { Section, SectionResult } from './support/section.ts';

const PICTURES = 40;
const SIZE = { width: 640, height: 480 };
/** Requests at once while the capacity is measured. */
const CLOSED_LOOP = 8;
const LOADS = [0.5, 0.8, 0.95] as const;
/** Frames per second of the live stream. */
const LIVE_FPS = 5;

/** Sends pictures over HTTP at a fixed rate beside a live stream, whatever the answers take. */
export const requests: Section = {
  id: 'requests',
  title: 'Pictures over HTTP beside a live stream',
  async run(context): Promise<SectionResult> {
    const engine = await Sightline.open({
      model: { name: context.model },
      env: process.env,
      requests: { cacheResults: 0, queueSize: 1000 },
      streams: [
        { id: 'live', source: context.clip.path, policy: 'live', realtime: true, loop: true, maxFps: LIVE_FPS },
      ],
    });
    try {
      const gateway = await engine.serve({ port: 0 });
      return await measure(context, engine, `${gateway.url}/api/detect`, await makePictures());
    } finally {
      await engine.close();
    }
  },
};

async function measure(
  { seconds, warmUpSeconds }: BenchContext,
  engine: Sightline,
  url: string,
  pictures: readonly Buffer[],
): Promise<SectionResult> {
  const liveMs: number[] = [];
  void (async () => {
    for await (const _ of engine.results({ streams: ['live'] }))
      liveMs.push(engine.stats().streams[0]!.latencyMs.window.p99);
  })();
  let sent = 0;
  const post = async (): Promise<number> => {
    const beganMs = performance.now();
    sent += 1;
    const body = pictures[sent % PICTURES]!;
    const reply = await fetch(url, { method: 'POST', body, headers: { 'content-type': 'image/jpeg' } });
    await reply.arrayBuffer();
    return reply.status === 200 ? performance.now() - beganMs : Number.NaN;
  };
  /** One at a time: over HTTP, and as a call of the library, in turn. */
  const alone: Record<'http' | 'library', number[]> = { http: [], library: [] };
  for (const endMs = performance.now() + (warmUpSeconds + seconds) * 1000; performance.now() < endMs; ) {
    alone.http.push(await post());
    const beganMs = performance.now();
    await engine.detect(pictures[sent % PICTURES]!);
    alone.library.push(performance.now() - beganMs);
  }
  let done = 0;
  const closedEndMs = performance.now() + seconds * 1000;
  const closed = Array.from({ length: CLOSED_LOOP }, async () => {
    for (; performance.now() < closedEndMs; done += 1) await post();
  });
  await Promise.all(closed);
  const capacity = done / seconds;
  const rows = [['load', 'requests/s', 'p50', 'p99', 'without an answer', 'live p99']];
  const data: object[] = [];
  for (const load of [0, ...LOADS, 0]) {
    liveMs.length = 0;
    const latencies = await openLoop(load * capacity, seconds, post);
    if (load === 0) await sleep(seconds * 1000);
    const answered = latencies.filter((each) => !Number.isNaN(each));
    const [p50, p99, live] = [percentile(answered, 0.5), percentile(answered, 0.99), liveMs.at(-1) ?? Number.NaN];
    const lost = latencies.length - answered.length;
    rows.push([percent(load), (load * capacity).toFixed(1), ms(p50), ms(p99), String(lost), ms(live)]);
    data.push({ load, p50, p99, lost, live });
  }
  const [http, library] = [percentile(alone.http, 0.5), percentile(alone.library, 0.5)];
  return {
    tables: [{ caption: `${SIZE.width}x${SIZE.height} JPEG; capacity ${capacity.toFixed(1)} requests/s`, rows }],
    targets: [{ what: 'own cost of a request', measured: http - library, target: 3, want: 'at most', unit: 'ms' }],
    notes: [`One at a time: ${ms(http)} over HTTP, ${ms(library)} as a call of the library (p50).`],
    data: { capacity, http, library, loads: data },
  };
}

/** Sends at fixed times. @returns the time of each from when it was due; NaN without an answer. */
async function openLoop(rate: number, seconds: number, post: () => Promise<number>): Promise<number[]> {
  const beganMs = performance.now();
  const all: Promise<number>[] = [];
  for (let i = 0; i < rate * seconds; i++) {
    const dueMs = beganMs + (i / rate) * 1000;
    await sleep(Math.max(0, dueMs - performance.now()));
    const lateMs = performance.now() - dueMs;
    all.push(post().then((tookMs) => tookMs + lateMs));
  }
  return Promise.all(all);
}

/** Different pictures: equal ones would be answered from a cache. */
function makePictures(): Promise<Buffer[]> {
  return Promise.all(
    Array.from({ length: PICTURES }, (_, i) =>
      sharp({ create: { ...SIZE, channels: 3, noise: { type: 'gaussian', mean: 40 + i * 4, sigma: 30 } } as never })
        .jpeg()
        .toBuffer(),
    ),
  );
}

function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
}
