import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/base/core/seeded-random.ts';
import { takesCommands } from '../../src/frame/decode/shed-filters.ts';
import { conservationGap } from '../../src/frame/telemetry/stream-telemetry.ts';
import type { StreamReport } from '../../src/wire/protocol/report.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { CALM, pick, validPatch } from '../support/random-patches.ts';
import { RuledHost } from '../support/ruled-host.ts';
import { waitFor } from '../support/wait-for.ts';

const PATCHES = 1000;
const camera = (rate: number): string => `synthetic:testsrc2=size=64x64:rate=${rate}`;
/** The source of a stream is opened again for these; one at most in so many patches, since that takes a third of a second. */
const REOPENING = new Set(['staleMs', 'decodeThreads', 'tiles', 'region']);
const REOPENS_ONE_OF = 10;

describe('streams of a host, with real ffmpeg and the fake engine', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sightline-patched-'));
  let ruled: RuledHost;

  beforeAll(async () => {
    const streams = ['a', 'cam', 'z'].map((id) => ({ id, source: camera(100), policy: 'live', realtime: true }));
    ruled = await RuledHost.open({ ffmpegPath: testFfmpeg.path, cacheDir: folder, streams });
    await ruled.host.start();
    await flows();
  });
  afterAll(async () => {
    await ruled.close();
    rmSync(folder, { recursive: true });
  });

  const report = (): StreamReport => ruled.host.runtime.streamReport(ruled.host.runtime.stream('cam'));
  const flows = async (count = 20): Promise<void> => {
    const from = ruled.framesOf('cam');
    await waitFor('more frames', () => ruled.framesOf('cam') >= from + count);
  };

  it(`${PATCHES} random changes leave each stream where it was, with keys and counters that only rise`, async () => {
    const seed = Date.now() % 100_000;
    const random = seededRandom(seed);
    const keys: [run: string, frame: number][] = [];
    const problems: string[] = [];
    let lastIn = 0;
    const look = (when: string): void => {
      const { frames } = report();
      if (conservationGap(frames) !== 0) problems.push(`${when}: off by ${conservationGap(frames)}`);
      if (frames.in < lastIn) problems.push(`${when}: in went from ${lastIn} to ${frames.in}`);
      lastIn = frames.in;
    };
    const remove = ruled.host.onPublished(({ streamId, run = '', frame }) => {
      if (streamId !== 'cam') return;
      keys.push([run, frame]);
      look(`frame ${frame}`);
    });
    for (let i = 0; i < PATCHES; i += 1) {
      const wish = validPatch(random);
      const patch = Object.fromEntries(
        Object.entries(wish).filter(([key]) => !REOPENING.has(key) || i % REOPENS_ONE_OF === 0),
      );
      await ruled.host.changeStream('cam', patch);
      look(JSON.stringify(patch));
      expect(ruled.host.report().streams.map(({ id }) => id)).toEqual(['a', 'cam', 'z']);
      const { config } = ruled.host.runtime.stream('cam');
      const isSet = ([, value]: [string, unknown]): boolean => value !== null;
      expect(config).toMatchObject(Object.fromEntries(Object.entries(patch).filter(isSet)));
      expect(Object.values(config), 'null takes a setting away').not.toContain(null);
      if (i % 200 === 100) await ruled.host.changeStream('cam', { source: camera(pick([60, 90, 120], random)) });
      if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, random() * 40));
    }
    await ruled.host.changeStream('cam', CALM);
    await flows();
    remove();
    expect(problems, `seed ${seed}`).toEqual([]);
    const numbers = keys.map(([, frame]) => frame);
    expect(numbers, 'in order, and none twice').toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
    expect(new Set(keys.map(([run]) => run)).size).toBe(1);
    expect(report().reconnects).toBe(0);
  }, 180_000);

  it.runIf(takesCommands(testFfmpeg.major))(
    'take another rate without a new connection',
    async () => {
      await ruled.host.changeStream('cam', { ...CALM, maxFps: undefined, source: camera(100), every: 1, track: true });
      await flows();
      const pids = ruled.host.runtime.childPids;
      /** Media time between frames, in units of a frame of the source. */
      const steps = async (): Promise<number[]> => {
        const times: number[] = [];
        const remove = ruled.host.onPublished(({ streamId, ptsUs }) => void (streamId === 'cam' && times.push(ptsUs)));
        await waitFor('frames', () => times.length > 8);
        remove();
        return times.slice(1).map((time, i) => Math.round((time - times[i]!) / 10_000));
      };
      const least = async (): Promise<number> => Math.min(...(await steps()));
      for (const [patch, expected] of [
        [{ every: 7 }, 7],
        [{ every: 1, maxFps: 10 }, 10],
        [{ maxFps: 25 }, 4],
        [{ every: 3, maxFps: 1000 }, 3],
        [{ every: 1 }, 1],
      ] as const) {
        await ruled.host.changeStream('cam', patch);
        await waitFor(`a step of ${expected} after ${JSON.stringify(patch)}`, async () => (await least()) === expected);
      }
      expect(ruled.host.runtime.childPids).toEqual(pids);
    },
    60_000,
  );
});
