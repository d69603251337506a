import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { batchConfig } from '../../src/config/batch.ts';
import { modelConfig } from '../../src/config/model-config.ts';
import { firstVersion } from '../../src/control/rollout/versions.ts';
import { RuntimeTarget } from '../../src/host/runtime-target.ts';
import type { Observation, Version } from '../../src/protocol/rollout-records.ts';
import { LiveRuntime } from '../support/live-runtime.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { waitFor } from '../support/wait-for.ts';

const [CONTROL_SCORE, CANDIDATE_SCORE] = [0.5, 0.9];
const TURNS = 6;
const STREAM = 'cam';

/** The score of its only box tells which version found it. */
function version(score: number): Version {
  const rows = [10, 20, 30, 40, score, 0];
  const model = modelConfig.parse({ engine: 'fake', threads: 1, fake: { callMs: 2, rows } });
  return firstVersion('people', { model, batch: batchConfig.parse({}), weights: [] }, 0);
}

describe('streams that take turns between two versions', () => {
  const folder = new VideoFolder();
  const [control, candidate] = [version(CONTROL_SCORE), version(CANDIDATE_SCORE)];
  let live: LiveRuntime;
  let target: RuntimeTarget;

  beforeAll(async () => {
    await folder.make('clip.mp4', { frames: 100, fps: 25 });
  });
  afterEach(async () => {
    target.close();
    expect(await live.close()).toEqual([]);
  });
  afterAll(() => folder.remove());

  it('are observed without mixing the sides: no pair of one version, no second of both', async () => {
    live = await LiveRuntime.open({ model: { ...control.model }, threads: 1 });
    const cacheDir = join(tmpdir(), 'sightline-no-cache');
    const environment = { ffmpegPath: undefined, searchPath: '', modelPath: [], cacheDir, token: undefined };
    const notices: string[] = [];
    target = new RuntimeTarget({
      ...{ runtime: live.runtime, initial: control, onNotice: (text) => notices.push(text) },
      environment: { ...environment, openvinoDir: undefined },
    });
    const seen: Observation[] = [];
    target.onObservation((observation) => seen.push(observation));
    await live.add({ id: STREAM, source: `${folder.path}/clip.mp4`, loop: true, realtime: true });
    await live.flows(STREAM, 5);
    await target.load(candidate);
    target.compare({ control: control.hash, candidate: candidate.hash });
    expect(target.canTakeTurns(), 'nothing is known yet').toBe(false);
    const sidesSeen = (side: string): number =>
      seen.filter((observation) => 'side' in observation && observation.side === side).length;
    for (let turn = 0; turn < TURNS; turn++) {
      const [own, other, side] =
        turn % 2 === 0
          ? [candidate.hash, control.hash, 'candidate' as const]
          : [control.hash, candidate.hash, 'control' as const];
      const before = sidesSeen(side);
      target.assign(STREAM, own);
      await waitFor('the other version to compare with', () => {
        target.shadow(STREAM, other, 1);
        return live.runtime.shadowCounters(STREAM) !== null;
      });
      expect(target.canTakeTurns()).toBe(true);
      await waitFor(`a second of the ${side}`, () => sidesSeen(side) > before);
    }
    expect(notices).toEqual([]);
    const meanScores = { control: new Set<string>(), candidate: new Set<string>() };
    for (const observation of seen)
      if ('side' in observation && observation.boxes > 0)
        meanScores[observation.side].add((observation.scoreSum / observation.boxes).toFixed(3));
    expect(meanScores).toEqual({ control: new Set(['0.500']), candidate: new Set(['0.900']) });
    const pairs = seen.flatMap((observation) =>
      'side' in observation || !('control' in observation) ? [] : [observation],
    );
    expect(pairs.length).toBeGreaterThan(TURNS);
    for (const pair of pairs) {
      expect(pair.control[0]!.score).toBeCloseTo(CONTROL_SCORE);
      expect(pair.candidate[0]!.score).toBeCloseTo(CANDIDATE_SCORE);
    }
    const { frames } = live.published(STREAM);
    expect(frames, 'in order, none twice').toEqual([...new Set(frames)].sort((x, y) => x - y));
  }, 120_000);
});
