import { expect, it } from 'vitest';
import { inFramesOf } from '../../../../../src/lab/optimize/run/pipeline-evaluator.ts';
import { streamFigures, trialResult } from '../../../../support/trial-figures.ts';

const stream = (id: string, fps: number, mediaSpeed: number) => streamFigures(id, [], [], { fps, mediaSpeed });

it('a run that decodes fewer frames has the rate of the frames that it passes', () => {
  // Twice real time at 25 and at 10 frames/s.
  const own = trialResult({ fps: 70, perStream: [stream('a', 50, 2), stream('b', 20, 2)] });
  // A key frame every two seconds of both: 16 and 4 times real time.
  const key = trialResult({
    fps: 10,
    perStream: [stream('a', 8, 16), stream('b', 2, 4)],
    energy: { cpuJoules: 4.4 },
    cpuMsPerFrame: { decode: 44, preprocess: 4.4, infer: 44, main: 8.8, total: 101.2 },
  });
  const restated = inFramesOf(own, key);
  expect(restated.streamFps).toEqual([400, 40]);
  expect(restated.perStream.map(({ fps }) => fps)).toEqual([400, 40]);
  expect(restated.fps).toBe(440);
  // 44 frames are passed with each that is published.
  const expected = { decode: 1, preprocess: 0.1, infer: 1, main: 0.2, total: 2.3 };
  for (const [part, ms] of Object.entries(expected))
    expect(restated.cpuMsPerFrame![part as keyof typeof expected]).toBeCloseTo(ms, 9);
  expect(restated.energy!.cpuJoules).toBeCloseTo(0.1, 9);
  expect(restated.latencyMs).toBe(key.latencyMs);
});

it('keeps the rate of a stream of which the other run had no two frames', () => {
  const own = trialResult({ fps: 25, perStream: [stream('a', 25, 0)] });
  expect(inFramesOf(own, trialResult({ fps: 5, perStream: [stream('a', 5, 10)] })).fps).toBe(5);
});
