import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { LatencyTally } from '../../../../src/lab/measure/latency-tally.ts';
import {
  framesToDecide,
  judgeTargets,
  parseTargets,
  type StreamEvidence,
  type TargetEvidence,
  verdictOf,
} from '../../../../src/lab/measure/targets.ts';
import type { TargetVerdict } from '../../../../src/lab/measure/trial-result.ts';
import { QUIET, streamFigures } from '../../../support/trial-figures.ts';

/** Frames that took 20 ms, of which this many took 51 ms; slow ones come at even distances. */
function latencies(frames: number, misses: number): number[] {
  return Array.from({ length: frames }, (_, i) => (((i + 1) * misses) % frames < misses ? 51 : 20));
}

/** What a target says of streams with these latencies, in 20 s. */
function judgeLatencies(text: string, streams: Readonly<Record<string, readonly number[]>>, looks = 1): TargetVerdict {
  const targets = parseTargets(text);
  const perStream = Object.entries(streams).map(([id, own]) => streamFigures(id, own, targets));
  const evidence = { perStream, seconds: 20, dropRatio: 0, machine: QUIET, streams: perStream.length };
  return judgeTargets(targets, evidence, looks)[0]!;
}

/** What a target says of streams of which other figures are known. */
function judgeStreams(
  text: string,
  streams: readonly Partial<StreamEvidence>[],
  changes: Partial<TargetEvidence> = {},
) {
  const perStream = streams.map((stream, i) => ({
    ...streamFigures(`cam-${i + 1}`, latencies(500, 0), []),
    ...stream,
  }));
  const entered = perStream.reduce((sum, stream) => sum + stream.entered, 0);
  const dropRatio = perStream.reduce((sum, stream) => sum + stream.dropped, 0) / entered;
  const evidence = { perStream, seconds: 20, dropRatio, machine: QUIET, streams: perStream.length, ...changes };
  return judgeTargets(parseTargets(text), evidence)[0]!;
}

describe('parsing targets', () => {
  it('knows rates, percentiles, streams, drops and the CPU, with their units', () => {
    const parsed = parseTargets(
      'fps>=30, total>=90,p50<=20,p90<=0.03s,p95<=40ms,p99<=50ms,streams>=8,drops<=1%,cpu<=80%',
    );
    expect(parsed.map(({ metric, limit }) => [metric, limit])).toEqual([
      ['fps', 30],
      ['total', 90],
      ['p50', 20],
      ['p90', 30],
      ['p95', 40],
      ['p99', 50],
      ['streams', 8],
      ['drops', 0.01],
      ['cpu', 0.8],
    ]);
    expect(parsed.map(({ text }) => text)).toContain('p90<=30ms');
  });

  it.each([
    ['', 'expected one of fps, total, streams, p50'],
    ['fps>=30,', 'expected one of'],
    ['speed>=30', 'expected one of'],
    ['toString>=1', 'expected one of'],
    ['fps<=30', 'expected fps>=30, since it is a limit'],
    ['fps>30', 'expected fps>=30, since it is a limit'],
    ['fps = 30', 'expected fps>=30'],
    ['p99>=50ms', 'expected p99<=50ms'],
    ['p99<50ms', 'expected p99<=50ms'],
    ['fps>=<30', 'expected one of'],
    ['p99<=50fps', 'expected one of'],
    ['p99<=50%', 'expected the unit ms, received %'],
    ['fps>=30ms', 'expected no unit, received ms'],
    ['fps>=0', 'above 0'],
    ['fps>=-3', 'expected one of'],
    ['p99<=50ms,p99<=60ms', 'p99 again'],
  ])('%j is refused with the reason', (text, reason) => {
    expect(() => parseTargets(text)).toThrow(SightlineError);
    expect(() => parseTargets(text)).toThrow(reason);
  });
});

describe('a percentile', () => {
  // The numbers of frames are those of MLPerf's early stopping.
  it.each([
    [459, 0, 'met'],
    [458, 0, 'not enough frames'],
    [662, 1, 'met'],
    [661, 1, 'not enough frames'],
    [1307, 5, 'met'],
    [1306, 5, 'not enough frames'],
  ])('p99 over %i frames of one stream with %i misses is %s', (frames, misses, state) => {
    const verdict = judgeLatencies('p99<=50ms', { a: latencies(frames, misses) });
    expect(verdict.state).toBe(state);
    expect(verdict.reason).toContain(`${misses} of ${frames} frames`);
  });

  it('is missed only where chance does not explain it: of 2,000 frames, 20 are expected at the limit', () => {
    // P(X >= 31) = 1.3 % and P(X >= 32) = 0.8 % for B(2000, 0.01), by summing the distribution elsewhere.
    expect(judgeLatencies('p99<=50ms', { a: latencies(2000, 21) })).toMatchObject({
      state: 'not enough frames',
      reason: '21 of 2000 frames took longer; that is too near the limit to be 99 % sure',
    });
    expect(judgeLatencies('p99<=50ms', { a: latencies(2000, 31) }).state).toBe('not enough frames');
    expect(judgeLatencies('p99<=50ms', { a: latencies(2000, 32) }).state).toBe('missed');
  });

  it('one camera of four at 200 ms is missed, whatever the others do, and is named', () => {
    const slow = new Array<number>(1000).fill(200);
    const quick = latencies(1000, 0);
    const verdict = judgeLatencies('p99<=50ms', { a: quick, b: quick, c: slow, d: quick });
    expect(verdict).toMatchObject({ state: 'missed', measured: 200, reason: 'c: 1000 of 1000 frames took longer' });
  });

  it('one camera of a hundred with its frames just over the limit is found, though 99 % of all frames are within it', () => {
    const streams = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`cam-${i}`, latencies(1500, 0)]));
    expect(judgeLatencies('p99<=50ms', streams).state).toBe('met');
    const verdict = judgeLatencies('p99<=50ms', { ...streams, 'cam-57': new Array<number>(1500).fill(51) });
    expect(verdict).toMatchObject({ state: 'missed', reason: expect.stringContaining('cam-57') });
  });

  it('a camera with too few frames, or none, leaves it undecided', () => {
    const many = latencies(2000, 0);
    expect(judgeLatencies('p99<=50ms', { a: many, b: latencies(100, 0) })).toMatchObject({
      state: 'not enough frames',
      reason: expect.stringMatching(/^b: 0 of 100 frames took longer; \d+ frames are needed/),
    });
    expect(judgeLatencies('p99<=50ms', { a: many, dead: [] })).toMatchObject({
      state: 'not enough frames',
      measured: null,
      reason: 'dead: no frame was published',
    });
    expect(judgeLatencies('p99<=50ms', {}).state).toBe('not enough frames');
  });

  it('the 1 % is shared by four cameras, all of them together, and the looks', () => {
    // 0.99^n <= 0.01 / 5 from n = 619 on; with three looks 0.01 / 15 from 728 on.
    const four = (frames: number) => ({
      a: latencies(frames, 0),
      b: latencies(frames, 0),
      c: latencies(frames, 0),
      d: latencies(frames, 0),
    });
    expect(judgeLatencies('p99<=50ms', four(619)).state).toBe('met');
    expect(judgeLatencies('p99<=50ms', four(618)).state).toBe('not enough frames');
    expect(judgeLatencies('p99<=50ms', four(728), 3).state).toBe('met');
    expect(judgeLatencies('p99<=50ms', four(727), 3).state).toBe('not enough frames');
    expect(framesToDecide(parseTargets('p99<=50ms'), { streams: 4, misses: 0 })).toBe(619);
    expect(framesToDecide(parseTargets('p99<=50ms'), { streams: 4, misses: 0, looks: 3 })).toBe(728);
    expect(framesToDecide(parseTargets('fps>=5'), { streams: 4 })).toBe(0);
  });

  it('many cameras that are each a little too slow, with few frames, are missed together', () => {
    const streams = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`cam-${i}`, latencies(50, 2)]));
    const verdict = judgeLatencies('p99<=50ms', streams);
    expect(verdict).toMatchObject({ state: 'missed', reason: 'all streams together: 40 of 1000 frames took longer' });
    expect(judgeLatencies('p99<=50ms', { one: latencies(50, 2) }).state).toBe('not enough frames');
  });

  it('is rarely called missed where 16 cameras keep it, and never met where one does not: 400 simulated runs each', () => {
    const random = seededRandom(7);
    const draw = (frames: number, share: number): number[] =>
      Array.from({ length: frames }, () => (random() < share ? 51 : 20));
    const count = { missed: 0, met: 0 };
    for (let run = 0; run < 400; run++) {
      const good = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`cam-${i}`, draw(300, 0.01)]));
      if (judgeLatencies('p99<=50ms', good).state === 'missed') count.missed += 1;
      const bad = { ...good, 'cam-3': draw(1000, 0.011) };
      if (judgeLatencies('p99<=50ms', bad).state === 'met') count.met += 1;
    }
    // 1 % of 400 is 4; ten or more of them by chance: 0.8 %.
    expect(count.missed).toBeLessThan(10);
    expect(count.met).toBe(0);
  });

  it('bounds from outside decide only what they prove', () => {
    const targets = parseTargets('p90<=50ms');
    const tally = new LatencyTally(targets);
    // Half of the frames took at most 40 ms, the others 40 to 51: whether p90 is kept is not known.
    for (let i = 0; i < 1000; i++) i < 500 ? tally.add(40, 0) : tally.add(51, 40);
    const stream = { id: 'a', fps: 50, entered: 1000, dropped: 0, ...tally.figures() };
    const evidence = { perStream: [stream], seconds: 20, dropRatio: 0, machine: QUIET, streams: 1 };
    expect(judgeTargets(targets, evidence)[0]!.state).toBe('not enough frames');
  });

  it('frames that were compared with another limit prove nothing', () => {
    const perStream = [streamFigures('a', latencies(2000, 0), parseTargets('p99<=60ms'))];
    const evidence = { perStream, seconds: 20, dropRatio: 0, machine: QUIET, streams: 1 };
    expect(judgeTargets(parseTargets('p99<=50ms'), evidence)[0]).toMatchObject({
      state: 'not enough frames',
      measured: null,
    });
  });
});

describe('the rate', () => {
  it('is asked of each stream, and the slowest one is named', () => {
    const verdict = judgeStreams('fps>=24', [{ fps: 40 }, { fps: 20 }, { fps: 40 }]);
    expect(verdict).toMatchObject({ state: 'missed', measured: 20, reason: 'cam-2: published 20.0 frames/s' });
    expect(judgeStreams('fps>=24', [{ fps: 40 }, { fps: 25 }]).state).toBe('met');
  });

  it('of all streams together is a target of its own', () => {
    expect(judgeStreams('total>=60', [{ fps: 40 }, { fps: 20 }]).state).toBe('met');
    expect(judgeStreams('total>=61', [{ fps: 40 }, { fps: 20 }])).toMatchObject({ state: 'missed', measured: 60 });
  });

  it('of exactly the target is not missed for the frame at the edge of the time', () => {
    // 30 frames/s for 10 s: 299 or 300 frames, depending on where the time begins.
    expect(judgeStreams('fps>=30', [{ fps: 29.9 }], { seconds: 10 }).state).toBe('met');
    expect(judgeStreams('fps>=30', [{ fps: 29.8 }], { seconds: 10 }).state).toBe('missed');
  });

  it('of nothing is never met, however low the target', () => {
    expect(judgeStreams('fps>=30', [{ fps: 30 }, { fps: 0 }]).state).toBe('missed');
    expect(judgeStreams('fps>=0.1', [{ fps: 30 }, { fps: 0 }], { seconds: 2 }).state).toBe('not enough frames');
    expect(judgeStreams('total>=0.1', [{ fps: 0 }], { seconds: 2 }).state).toBe('missed');
  });

  it('a slow camera is asked for what it offers; one that offered nothing is not judged', () => {
    const slow = { fps: 11.9, offeredFps: 12 };
    expect(judgeStreams('fps>=30', [{ fps: 30, offeredFps: 30 }, slow]).state).toBe('met');
    expect(
      judgeStreams('fps>=30', [
        { fps: 30, offeredFps: 30 },
        { ...slow, fps: 9 },
      ]),
    ).toMatchObject({
      state: 'missed',
      reason: 'cam-2: published 9.0 frames/s of 12.0 offered',
    });
    const absent = { fps: 0, frames: 0, entered: 0, offeredFps: 0 };
    expect(judgeStreams('fps>=30', [{ fps: 30, offeredFps: 30 }, absent])).toMatchObject({
      state: 'not enough frames',
      reason: 'cam-2: its camera offered no frame',
    });
  });
});

describe('other targets', () => {
  it('drops are counted for each camera: one that loses a seventh of its frames does not hide among twenty', () => {
    const good = Array.from({ length: 19 }, () => ({ entered: 500, dropped: 0 }));
    const verdict = judgeStreams('drops<=1%', [...good, { entered: 500, dropped: 70 }]);
    expect(verdict).toMatchObject({ state: 'missed', reason: 'cam-20: 14.0 % of the frames were dropped' });
    expect(judgeStreams('drops<=1%', [...good, { entered: 500, dropped: 5 }]).state).toBe('met');
  });

  it('one dropped frame of few is no proof against a camera, and not for it', () => {
    const streams = [
      { entered: 500, dropped: 0 },
      { entered: 90, dropped: 1 },
    ];
    expect(judgeStreams('drops<=1%', streams)).toMatchObject({
      state: 'not enough frames',
      reason: 'cam-2: 1.1 % of the frames were dropped, 1 of 90',
    });
  });

  it('drops of all together, CPU and streams are compared as they are', () => {
    expect(judgeStreams('drops<=1%', [{ entered: 1000, dropped: 11 }]).state).toBe('missed');
    expect(judgeStreams('drops<=1%', [{ entered: 1000, dropped: 10 }]).state).toBe('met');
    expect(judgeStreams('cpu<=80%', [{}], { machine: { ...QUIET, ownRatio: 0.81 } }).state).toBe('missed');
    expect(judgeStreams('cpu<=80%', [{}], { machine: { ...QUIET, ownRatio: null } }).state).toBe('not enough frames');
    expect(judgeStreams('streams>=8', [{}], { streams: 7 })).toMatchObject({ state: 'missed', measured: 7 });
  });

  it('while others took the CPU, what was met is met, and what was missed is not decided', () => {
    expect(judgeStreams('fps>=20', [{ fps: 25 }], { isDisturbed: true }).state).toBe('met');
    expect(judgeStreams('fps>=30', [{ fps: 25 }], { isDisturbed: true })).toMatchObject({
      state: 'not enough frames',
      reason: 'published 25.0 frames/s, while others took the CPU',
    });
  });

  it('the gap is the distance to the limit as a share of it, positive on the good side', () => {
    expect(judgeStreams('fps>=50', [{ fps: 40 }]).gap).toBeCloseTo(-0.2, 12);
    expect(judgeLatencies('p50<=50ms', { a: latencies(100, 0) }).gap).toBeCloseTo(0.6, 12);
  });

  it('verdicts combine by and: missed before undecided, undecided before met', () => {
    const of = (...states: TargetVerdict['state'][]) => verdictOf(states.map((state) => ({ state })));
    expect(of('met', 'met')).toBe('met');
    expect(of('met', 'not enough frames')).toBe('not enough frames');
    expect(of('met', 'not enough frames', 'missed')).toBe('missed');
  });
});
