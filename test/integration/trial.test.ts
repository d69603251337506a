import { chmod, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PublishedFrame } from '../../src/base/core/frame.ts';
import { compareTrials } from '../../src/lab/measure/compare.ts';
import { findCapacity } from '../../src/lab/measure/find-capacity.ts';
import { parseTargets } from '../../src/lab/measure/targets.ts';
import { OpenTrial, runTrial, type TrialOptions, type TrialSetup } from '../../src/lab/measure/trial.ts';
import { PARTS, type TrialResult } from '../../src/lab/measure/trial-result.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { childrenWith } from '../support/processes.ts';

/** Nothing is discarded: the tests must pass on a busy machine. */
const EVERYTHING = { otherRatio: 1, stealRatio: 1, throttledRatio: 1 };

describe('a trial with real processes and a fake engine', () => {
  const videos = new VideoFolder();
  let clip: string;
  const notes: string[] = [];

  beforeAll(async () => {
    clip = await videos.make('clip.mp4', { frames: 50, fps: 25 });
  });

  afterAll(() => videos.remove());

  function setup(settings: Readonly<Record<string, unknown>> = {}, callMs = 8): TrialSetup {
    const model = { engine: 'fake', inputSize: '160x96', threads: 1, fake: { callMs } };
    const streams = [{ id: 'a', source: clip, ...settings }];
    return {
      pipeline: parsePipeline(
        JSON.stringify({ name: 'trial', description: 'A trial.', model, lanes: 1, batch: { maxBatch: 1 }, streams }),
        'test',
      ),
      environment: {
        ffmpegPath: process.env.FFMPEG_PATH,
        searchPath: process.env.PATH ?? '',
        modelPath: [],
        cacheDir: join(tmpdir(), 'sightline-no-cache'),
        token: undefined,
      },
    };
  }

  function options(changes: Partial<TrialOptions> = {}): TrialOptions {
    return {
      signal: new AbortController().signal,
      note: (text) => void notes.push(text),
      seconds: 1.5,
      windowSeconds: 0.5,
      warmUpSeconds: 0.5,
      limitSeconds: 6,
      interference: EVERYTHING,
      ...changes,
    };
  }

  /** Mean of the latencies that the result carries; complete below 2,000 frames. */
  function meanLatencyMs({ latenciesMs, frames }: TrialResult): number {
    expect(latenciesMs).toHaveLength(frames);
    return latenciesMs!.reduce((sum, ms) => sum + ms, 0) / frames;
  }

  it('offline: the figures agree with each other', async () => {
    const result = await runTrial(setup(), { kind: 'offline' }, options({ targets: parseTargets('fps>=1,p50<=1s') }));
    expect(result.scenario).toBe('offline');
    expect(result.frames).toBe(Math.round(result.fps * result.seconds));
    // A call of 8 ms on one thread: never more than 125 a second.
    expect(result.fps).toBeLessThanOrEqual(126);
    expect(result.stagesMs.infer).toBeGreaterThanOrEqual(8);
    expect(Object.keys(result.stagesMs).sort()).toEqual([...PARTS].sort());
    const sum = Object.values(result.stagesMs).reduce((a, b) => a + b, 0);
    expect(sum).toBeCloseTo(meanLatencyMs(result), 6);
    expect(result.stagesMs.read).toBe(0);
    expect(Math.abs(result.stagesMs.unaccounted)).toBeLessThan(0.05 * sum);
    expect(result.dropRatio).toBe(0);
    expect(result.littleLawGap).toBeLessThanOrEqual(0.05);
    // The fake engine is much slower than the decoder of a small picture.
    expect(result.heldBackRatio).toBeGreaterThan(0.2);
    expect(result.targets.map(({ state }) => state)).toEqual(['met', 'met']);
    expect(result.windows.length).toBeGreaterThanOrEqual(3);
  });

  it('of key frames only: the video goes on by the time between them with each frame', async () => {
    const perFrame = async (decode: string): Promise<number> => {
      const { perStream } = await runTrial(setup({ decode }), { kind: 'offline' }, options());
      return perStream[0]!.mediaSpeed / perStream[0]!.fps;
    };
    expect(await perFrame('all')).toBeCloseTo(1 / 25, 2);
    // Four key frames in the two seconds of the clip, over and over.
    const ofKeys = await perFrame('key');
    expect(ofKeys).toBeGreaterThan(0.46);
    expect(ofKeys).toBeLessThan(0.54);
  });

  it('is restated as its setup says, with what it ran', async () => {
    const restated: TrialSetup['restated'] = (result, scenario) => ({ ...result, fps: 7, scenario: scenario.kind });
    const result = await runTrial({ ...setup(), restated }, { kind: 'offline' }, options());
    expect(result).toMatchObject({ fps: 7, scenario: 'offline' });
  });

  it("cameras: paced, and latency counts from the camera's clock", async () => {
    const scenario = { kind: 'cameras', streams: 2 } as const;
    const result = await runTrial(setup(), scenario, options({ seconds: 2 }));
    expect(result.streams).toBe(2);
    // Unpaced, each would have 62: a call takes 8 ms. A decoder that was held up catches up a little.
    for (const fps of result.streamFps) expect(fps).toBeLessThan(45);
    const sum = Object.values(result.stagesMs).reduce((a, b) => a + b, 0);
    expect(sum).toBeCloseTo(meanLatencyMs(result), 6);
    expect(result.stagesMs.read).toBeGreaterThanOrEqual(0);
  });

  it('an overloaded pipeline drops frames and says so', async () => {
    const result = await runTrial(setup({}, 200), { kind: 'cameras', streams: 2 }, options());
    expect(result.dropRatio).toBeGreaterThan(0.5);
    expect(result.fps).toBeLessThanOrEqual(6);
  });

  it('one camera of two that starves misses its targets, although all together keep them', async () => {
    // A call of 30 ms serves 33 frames/s: 25 of the first camera, and what is left, a third of its own, for the other one.
    const both = setup({}, 30);
    const [first] = both.pipeline.streams;
    const streams = [
      { ...first!, priority: 5 },
      { ...first!, priority: 0 },
    ];
    const targets = parseTargets('drops<=40%,total>=10');
    const result = await runTrial(
      { ...both, pipeline: { ...both.pipeline, streams } },
      { kind: 'cameras', streams: 2 },
      options({ targets, seconds: 3, limitSeconds: 8 }),
    );
    const [favoured, starved] = result.perStream;
    expect(starved!.dropped).toBeGreaterThan(favoured!.dropped);
    expect(starved!.fps).toBeLessThan(favoured!.fps);
    expect(result.targets[0]).toMatchObject({ state: 'missed', reason: expect.stringContaining('trial-2') });
    const { frames, dropped } = result.faults;
    expect(frames).toBe(favoured!.entered + starved!.entered);
    expect(Object.values(dropped).reduce((sum, count) => sum + count, 0)).toBe(favoured!.dropped + starved!.dropped);
    expect(result.faults).toMatchObject({ decodeErrors: 0, failedInferences: 0, reconnects: 0 });
  });

  it.skipIf(process.platform === 'win32')(
    'GPUs that the driver reports are in the result, with their energy',
    async () => {
      const program = join(videos.path, 'nvidia-smi');
      await writeFile(program, '#!/bin/sh\nwhile :; do echo "0, 50, 100, 1000, 80.0, 41, 7, Fake"; sleep 0.1; done\n');
      await chmod(program, 0o755);
      const base = setup();
      const searchPath = `${videos.path}${delimiter}${base.environment.searchPath}`;
      const measured = { ...base, environment: { ...base.environment, searchPath } };
      const { gpus, energy, fps } = await runTrial(measured, { kind: 'offline' }, options());
      expect(gpus).toMatchObject([{ index: 0, name: 'Fake' }]);
      expect(gpus![0]!.powerW).toBeCloseTo(80, 6);
      expect(energy!.gpuJoules).toBeCloseTo(80 / fps, 6);
      expect(childrenWith(program)).toEqual([]);
    },
  );

  it('several scenarios run on one loaded pipeline, which is left without streams', async () => {
    const trial = await OpenTrial.open(setup(), options());
    const seen = new Set<string>();
    trial.runtime.published.add(({ streamId }: PublishedFrame) => void seen.add(streamId));
    try {
      await trial.measure({ kind: 'offline' }, options());
      expect(trial.runtime.report().streams).toEqual([]);
      await trial.measure({ kind: 'offline', streams: 2 }, options());
      expect([...seen].sort()).toEqual(['trial-1', 'trial-2']);
    } finally {
      await trial.close();
    }
  });

  it('windows in which others took the CPU are discarded and counted, and the result is marked', async () => {
    // Limits that no machine can keep: every window with any other process is discarded.
    const nothing = { otherRatio: -1, stealRatio: 1, throttledRatio: 1 };
    const result = await runTrial(setup(), { kind: 'offline' }, options({ interference: nothing, limitSeconds: 2 }));
    if (result.machine.otherRatio === null) return expect(result.discardedWindows).toBe(0);
    expect(result.discardedWindows).toBe(result.windows.length);
    expect(result.isStable).toBe(false);
    expect(result.frames).toBeGreaterThan(0);
    expect(notes.at(-1)).toMatch(/windows discarded: other processes/);
  });

  it('a comparison of two loaded pipelines finds the one that takes four times as long', async () => {
    const fast = { seconds: 0.9, windowSeconds: 0.3, warmUpSeconds: 0.1, limitSeconds: 1.2 };
    const comparison = await compareTrials(
      setup({}, 10),
      setup({}, 40),
      { kind: 'offline' },
      { ...options(fast), seed: 1, pairs: 5 },
    );
    expect(comparison).toMatchObject({ verdict: 'worse', order: 'ABBAABBAAB', metric: 'fps', scenario: 'offline' });
    // At most 25 a second against at most 100.
    expect(comparison.b.every(({ fps }) => fps <= 26)).toBe(true);
    expect(comparison.interval[1]).toBeLessThan(0.98);
  });

  it('the capacity is found with paced cameras: one thread of 16 ms cannot serve four of 25 frames/s', async () => {
    const trial = await OpenTrial.open(setup({}, 16), options());
    try {
      const measure = (streams: number): Promise<TrialResult> =>
        trial.measure({ kind: 'cameras', streams }, options({ targets: parseTargets('p50<=2s') }));
      const found = await findCapacity(measure, { most: 4, ...options() });
      expect(found.streams).toBeLessThan(4);
      expect(found.steps[0]).toMatchObject({ streams: 1 });
      expect(found.steps.find(({ streams }) => streams === 4)?.isMet ?? false).toBe(false);
    } finally {
      await trial.close();
    }
  });

  it('a source that cannot be read fails with its own error', async () => {
    const missing = setup({ source: join(videos.path, 'missing.mp4') });
    await expect(runTrial(missing, { kind: 'offline' }, options())).rejects.toMatchObject({ code: 'SOURCE_NOT_FOUND' });
  });

  it.each([
    ['on files', { kind: 'offline' }],
    ['while its cameras start one after the other', { kind: 'cameras', streams: 12 }],
  ] as const)('ends when it is aborted, %s', async (_, scenario) => {
    const stop = new AbortController();
    const trial = await OpenTrial.open(setup(), options());
    try {
      const run = trial.measure(scenario, options({ signal: stop.signal, seconds: 600 }));
      trial.runtime.published.add(() => stop.abort());
      await expect(run).rejects.toThrow('aborted');
      expect(trial.runtime.report().streams).toEqual([]);
    } finally {
      await trial.close();
    }
  });
});
