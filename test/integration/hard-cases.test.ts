import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeScene, type HardScene, hardScenes, sceneMaterial } from '../../bench/support/hard-scenes.ts';
import { type SeenFrame, steadySightings } from '../../bench/support/missed-objects.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { sharedDir } from '../support/shared.ts';
import { within } from '../support/wait-for.ts';

if (sharedDir === null) console.warn('SKIPPED: hard cases for skipped work need the shared folder');

/** Of fifteen; `npm run bench -- --only hard-cases` runs them all, for longer and with more detectors. */
const CASES = ['cuts between six pictures', 'six presets with stops', 'fog comes and goes'];
const FRAMES = 125;

describe.skipIf(sharedDir === null)('skipped work on hard cases (needs the shared folder)', () => {
  const runMs = 200_000;
  let folder: string;
  let live: LiveRuntime;
  let scenes: HardScene[];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sightline-hard-'));
    scenes = hardScenes(await sceneMaterial(testFfmpeg.path, sharedDir!, 2));
    live = await LiveRuntime.open({
      model: { name: 'yolox-nano-480x256', engine: 'onnx', cacheResults: 1000 },
      places: { modelPath: [join(sharedDir!, 'models')], cacheDir: join(folder, 'cache') },
    });
  }, runMs);

  afterAll(async () => {
    expect(await live.close()).toEqual([]);
    await rm(folder, { recursive: true });
  });

  async function run(source: string, settings: object): Promise<SeenFrame[]> {
    const frames: SeenFrame[] = [];
    const unsubscribe = live.runtime.published.add((frame) => frames.push(frame));
    const stream = await live.add({ id: 'clip', source, policy: 'file', ...settings });
    await within('clip', runMs, stream.settled());
    unsubscribe();
    await live.runtime.remove('clip');
    return frames;
  }

  it.each(CASES)(
    '%s: no steady object is missing for longer than 200 ms',
    async (name) => {
      const scene = scenes.find((one) => one.name === name)!;
      const source = join(folder, 'case.mp4');
      await encodeScene(testFfmpeg.path, { ...scene, frames: FRAMES }, { sigma: 3, seed: 7, path: source });
      const every = await run(source, { track: true });
      for (const skip of [{ unchanged: true }, { trackBetween: 8 }, { unchanged: true, trackBetween: 'auto' }]) {
        const sightings = steadySightings(every, await run(source, { skip }), { minShare: 0.01, steadyMs: 500 });
        expect(sightings.length, 'objects').toBeGreaterThan(2);
        const missed = sightings.filter(({ missedMs }) => missedMs > 200.5);
        expect(missed, JSON.stringify(skip)).toEqual([]);
      }
    },
    200_000,
  );
});
