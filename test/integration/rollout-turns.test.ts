import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ResultSinks } from '../../src/after/sinks/result-sinks.ts';
import type { PublishedFrame } from '../../src/base/core/frame.ts';
import { FREE_ACCESS } from '../../src/base/core/source.ts';
import { firstVersion } from '../../src/fleet/control/rollout/versions.ts';
import { HostStreams } from '../../src/serve/host/host-streams.ts';
import { RuntimeTarget } from '../../src/serve/host/runtime-target.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { batchConfig } from '../../src/settings/config/batch.ts';
import { modelConfig } from '../../src/settings/config/model-config.ts';
import type { HostObservation, StreamChanges, Version } from '../../src/wire/protocol/rollout-records.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { waitFor } from '../support/wait-for.ts';

const [CONTROL_SCORE, CANDIDATE_SCORE] = [0.5, 0.9];
const TURNS = 6;
const STREAM = 'cam';

interface Settings {
  readonly inputSize?: string;
  readonly box?: readonly [number, number, number, number];
  readonly streams?: StreamChanges;
}

/** The score of its only box tells which version found it. */
function version(score: number, { inputSize, box = [10, 20, 30, 40], streams }: Settings = {}): Version {
  const rows = [...box, score, 0];
  const model = modelConfig.parse({ engine: 'fake', threads: 1, inputSize, fake: { callMs: 2, rows } });
  const parts = { model, batch: batchConfig.parse({}), weights: [], ...(streams === undefined ? {} : { streams }) };
  return firstVersion('people', parts, 0);
}

describe('streams that take turns between two versions', () => {
  const folder = new VideoFolder();
  let live: LiveRuntime;
  let target: RuntimeTarget;
  let notices: string[];
  let seen: HostObservation[];
  let results: PublishedFrame[];

  beforeAll(async () => {
    await folder.make('clip.mp4', { frames: 100, fps: 25 });
  });
  afterEach(async () => {
    target.close();
    expect(await live.close()).toEqual([]);
  });
  afterAll(() => folder.remove());

  async function start(control: Version, candidate: Version): Promise<void> {
    live = await LiveRuntime.open({ model: { ...control.model }, threads: 1 });
    const cacheDir = join(tmpdir(), 'sightline-no-cache');
    const places = { ffmpegPath: undefined, searchPath: '', modelPath: [], cacheDir, token: undefined };
    const environment = { ...places, openvinoDir: undefined };
    notices = [];
    const onNotice = (text: string): void => {
      notices.push(text);
    };
    const config = parsePipeline(JSON.stringify({ name: 'people', description: 'A camera.' }), 'test');
    const { runtime } = live;
    const streams = new HostStreams({
      runtime,
      config,
      sinks: new ResultSinks([]),
      environment,
      onNotice,
      sourceRules: { accessOf: () => FREE_ACCESS },
    });
    const modelRoots = { roots: [], files: [] };
    target = new RuntimeTarget({
      runtime,
      streams,
      initial: control,
      environment,
      modelRoots,
      recordings: '',
      onNotice,
    });
    seen = [];
    results = [];
    target.onObservation((observation) => seen.push(observation));
    runtime.published.add((frame) => results.push(frame));
    await live.add({ id: STREAM, source: `${folder.path}/clip.mp4`, loop: true, realtime: true });
    await live.flows(STREAM, 5);
    await target.load(candidate);
    target.compare({ control: control.hash, candidate: candidate.hash });
  }

  /** Repeats a wish, as a follower does, until a claim holds. */
  const until = (what: string, wish: () => void, claim: () => boolean): Promise<number> =>
    waitFor(what, () => {
      wish();
      return claim();
    });

  const pairs = () =>
    seen.flatMap((observation) => ('frame' in observation && 'control' in observation ? [observation] : []));
  const sidesSeen = (side: string): number =>
    seen.filter((observation) => 'side' in observation && observation.side === side).length;
  const openings = (): number => live.states(STREAM).filter((state) => state === 'starting').length;

  /** Both sides have turns; the other one infers every frame as well. */
  async function takeTurns(control: Version, candidate: Version, turns: number): Promise<void> {
    for (let turn = 0; turn < turns; turn++) {
      const [own, other, side] =
        turn % 2 === 0 ? [candidate, control, 'candidate' as const] : [control, candidate, 'control' as const];
      const before = sidesSeen(side);
      const wish = (): void => {
        target.assign(STREAM, own.hash, other.hash);
        target.shadow(STREAM, other.hash, 1, 0.1);
      };
      await until('the other version to compare with', wish, () => live.runtime.shadowCounters(STREAM) !== null);
      await until(`a second of the ${side}`, wish, () => sidesSeen(side) > before);
    }
  }

  it('are observed without mixing the sides: no pair of one version, no second of both', async () => {
    const [control, candidate] = [version(CONTROL_SCORE), version(CANDIDATE_SCORE)];
    await start(control, candidate);
    expect(target.turnCost(STREAM)).toBe('none');
    await takeTurns(control, candidate, TURNS);
    expect(notices).toEqual([]);
    expect(openings(), 'its source was never opened again').toBe(0);
    const meanScores = { control: new Set<string>(), candidate: new Set<string>() };
    for (const observation of seen)
      if ('side' in observation && observation.boxes > 0)
        meanScores[observation.side].add((observation.scoreSum / observation.boxes).toFixed(3));
    expect(meanScores).toEqual({ control: new Set(['0.500']), candidate: new Set(['0.900']) });
    expect(pairs().length).toBeGreaterThan(TURNS);
    for (const pair of pairs()) {
      expect(pair.control[0]!.score).toBeCloseTo(CONTROL_SCORE);
      expect(pair.candidate[0]!.score).toBeCloseTo(CANDIDATE_SCORE);
    }
    const { frames } = live.published(STREAM);
    expect(frames, 'in order, none twice').toEqual([...new Set(frames)].sort((x, y) => x - y));
  }, 120_000);

  it('with another input size open the source once, then compare the same frames in source pixels', async () => {
    // The same place of the picture in inputs of 320x192 and 160x96.
    const control = version(CONTROL_SCORE, { inputSize: '320x192', box: [40, 40, 80, 60] });
    const candidate = version(CANDIDATE_SCORE, { inputSize: '160x96', box: [20, 20, 40, 30] });
    await start(control, candidate);
    expect(target.turnCost(STREAM)).toBe('none');
    await takeTurns(control, candidate, TURNS);
    expect(notices).toEqual([]);
    expect(openings(), 'once, so that its frames suit both').toBe(1);
    expect(pairs().length).toBeGreaterThan(TURNS);
    for (const pair of pairs()) {
      expect(pair.control[0]!.score).toBeCloseTo(CONTROL_SCORE);
      expect(pair.candidate[0]!.score).toBeCloseTo(CANDIDATE_SCORE);
      for (const [i, edge] of pair.candidate[0]!.box.entries())
        expect(Math.abs(edge - pair.control[0]!.box[i]!), 'the same box').toBeLessThan(4);
    }
    // Alone, its frames are made for it as after a fresh start.
    await until(
      'the candidate alone',
      () => target.assign(STREAM, candidate.hash, null),
      () => openings() === 2 && live.runtime.stream(STREAM).state === 'running',
    );
    expect(live.runtime.stream(STREAM).input.picture).toBeNull();
    const { frames } = live.published(STREAM);
    expect(frames, 'in order, none twice').toEqual([...new Set(frames)].sort((x, y) => x - y));
  }, 120_000);

  it('with skipped frames compare what the candidate publishes for them with what the control infers', async () => {
    const streams = { all: { skip: { unchanged: false, trackBetween: 3 } }, byId: {} };
    const [control, candidate] = [version(CONTROL_SCORE), version(CANDIDATE_SCORE, { streams })];
    await start(control, candidate);
    expect(target.turnCost(STREAM), 'the lane does the same for both').toBe('none');
    await takeTurns(control, candidate, 2);
    const wish = (): void => {
      target.assign(STREAM, candidate.hash, control.hash);
      target.shadow(STREAM, control.hash, 1, 0.1);
    };
    const before = pairs().length;
    await until('pairs', wish, () => pairs().length > before + 30);
    expect(openings()).toBe(0);
    const tracked = new Set(results.filter(({ by }) => by === 'tracked').map(({ frame }) => frame));
    expect(tracked.size, 'two of three frames of the candidate').toBeGreaterThan(10);
    expect(
      pairs().filter(({ frame }) => tracked.has(frame)).length,
      'skipped frames are compared as well',
    ).toBeGreaterThan(5);
    // In the control's turn every frame is inferred again.
    await until(
      'the control',
      () => target.assign(STREAM, control.hash, null),
      () => target.versionOf(STREAM) === control.hash,
    );
    await live.flows(STREAM, 10);
    const from = results.length;
    await live.flows(STREAM, 10);
    expect(new Set(results.slice(from).map(({ by }) => by))).toEqual(new Set(['inferred']));
  }, 120_000);

  it('with the change gate on one side only open the source once, and infer every frame for the other', async () => {
    const streams = { all: { skip: { unchanged: true, trackBetween: 1 } }, byId: {} };
    const [control, candidate] = [version(CONTROL_SCORE), version(CANDIDATE_SCORE, { streams })];
    await start(control, candidate);
    expect(target.turnCost(STREAM)).toBe('none');
    await takeTurns(control, candidate, 4);
    expect(openings()).toBe(1);
    expect(pairs().length).toBeGreaterThan(4);
  }, 120_000);

  it('with pictures that are resized otherwise are not compared on the pixels of one side', async () => {
    const streams = { all: { resizeBy: 'sharp' }, byId: {} };
    const [control, candidate] = [version(CONTROL_SCORE), version(CANDIDATE_SCORE, { streams })];
    await start(control, candidate);
    expect(target.turnCost(STREAM)).toBe('reopening');
    const wish = (): void => {
      target.assign(STREAM, candidate.hash, control.hash);
      target.shadow(STREAM, control.hash, 1, 0.1);
    };
    await until('a second of the candidate', wish, () => sidesSeen('candidate') > 0);
    expect(pairs()).toEqual([]);
    // What `auto` means already is no difference.
    const same = version(0.7, { streams: { all: { resizeBy: 'ffmpeg' }, byId: {} } });
    await target.load(same);
    target.compare({ control: control.hash, candidate: same.hash });
    expect(target.turnCost(STREAM)).toBe('none');
  }, 120_000);

  it('with another rate of frames open the source at each turn, and keep counting its frames', async () => {
    const streams = { all: { every: 2 }, byId: {} };
    const [control, candidate] = [version(CONTROL_SCORE), version(CANDIDATE_SCORE, { streams })];
    await start(control, candidate);
    expect(target.turnCost(STREAM)).toBe('reopening');
    await takeTurns(control, candidate, 2);
    expect(openings()).toBe(2);
    const paces = (side: string) =>
      seen.flatMap((observation) => ('side' in observation && observation.side === side ? [observation.pace] : []));
    expect(new Set(paces('control')), 'the measure of the rate').toEqual(new Set([undefined]));
    expect(paces('candidate')[0], 'half of it is wanted').toEqual({ ratio: 0.5, mostFps: null });
    const { frames } = live.published(STREAM);
    expect(frames, 'in order, none twice').toEqual([...new Set(frames)].sort((x, y) => x - y));
  }, 120_000);
});
