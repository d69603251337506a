import { describe, expect, it } from 'vitest';
import { type HostLoad, judgeOverload, type StreamLoad } from '../../../../src/frame/telemetry/judge-overload.ts';
import { overloadReport } from '../../../../src/frame/telemetry/overload-text.ts';
import type { OverloadReport } from '../../../../src/wire/protocol/overload.ts';

const IDLE = { decode: 0.1, preprocess: 0.1, infer: 0.1, main: 0.1 };

interface Camera {
  readonly target?: number;
  readonly in?: number;
  readonly published?: number;
  readonly inferred?: number;
  readonly views?: number;
  readonly keyFps?: number | null;
  readonly keyShare?: number | null;
  readonly hasKeyFramesOnly?: boolean;
  /** Ids of rules that follow objects. */
  readonly rules?: readonly string[];
  readonly config?: Partial<StreamLoad['config']>;
}

function camera(id: string, { target, config = {}, ...rates }: Camera): StreamLoad {
  const { published = 2.5, inferred = published, views = 1, keyFps = null, keyShare = null } = rates;
  const { hasKeyFramesOnly = false, rules } = rates;
  const entered = rates.in ?? target ?? published;
  const settings = {
    id,
    maxAgeMs: 500,
    track: false,
    decode: 'all',
    target: target === undefined ? {} : { fps: target },
  };
  return {
    config: { ...settings, ...config } as StreamLoad['config'],
    fps: { in: entered, inferred, published },
    views,
    keyFps,
    keyShare,
    hasKeyFramesOnly,
    isMissing: true,
    isBehind: published < 0.95 * (target ?? 0),
    needs: rules === undefined ? null : { goodFps: 5, leastFps: 3, rules },
  };
}

/** Four cameras of 16 frames/s on a detector that infers 10. */
function busyDetector(change: Partial<HostLoad> = {}): HostLoad {
  const streams = ['a', 'b', 'c', 'd'].map((id) => camera(id, { target: 16 }));
  return {
    streams,
    capacity: 10,
    inferred: 0,
    inferCores: null,
    models: [],
    cores: 2,
    cpuCores: 1.6,
    busyRatio: { ...IDLE, infer: 0.99 },
    ...change,
  };
}

function saidOf(load: HostLoad): Omit<OverloadReport, 'sinceMs'> | null {
  const facts = judgeOverload(load);
  return facts === null ? null : overloadReport(facts);
}

describe('the facts of an overload', () => {
  it('are codes with numbers, from which the sentence is made', () => {
    const streams = [camera('free', { target: 16 }), camera('ruled', { target: 16, rules: ['crossing'] })];
    const models = [{ name: 'nano', speedup: 3, basis: 'measured' }];
    const facts = judgeOverload(busyDetector({ streams, models, capacity: 9, othersCores: 0.6 }))!;
    expect(facts).toMatchObject({ stage: 'infer', cause: 'work', lack: 'few', askedFps: 32, doneFps: 5 });
    expect(facts).toMatchObject({ othersCores: 0.6, cores: 2 });
    expect(facts.remedies).toMatchObject([
      { kind: 'rate', rate: 3.5, ruledRate: 5, streams: 2, breaks: [] },
      { kind: 'model', model: { name: 'nano' } },
    ]);
    expect(overloadReport(facts)).toMatchObject({ cause: 'work', lack: 'few', othersCores: 0.6 });
  });

  it('say that others have the cores, or that enough frames come too late', () => {
    const load = busyDetector({ busyRatio: { ...IDLE, main: 0.9 }, cpuCores: 0.5, othersCores: 1.5 });
    expect(judgeOverload(load)).toMatchObject({ cause: 'others', stage: 'main' });
    const late = ['a', 'b'].map((id) => ({ ...camera(id, { target: 5, published: 5 }), isBehind: true }));
    expect(judgeOverload(busyDetector({ streams: late }))).toMatchObject({ lack: 'late', othersCores: null });
  });
});

describe('a detector that cannot keep up', () => {
  it('is said in one sentence, with the rate that all streams together can have', () => {
    const judged = saidOf(busyDetector())!;
    // 95 % of 10 inferences/s for four streams is 2.375, rounded down.
    expect(judged.text).toBe(
      'Detection cannot keep up: you ask 64 frames/s, this machine does 10: lower the rate to 2.3 frames/s each.',
    );
    expect(judged).toMatchObject({ stage: 'infer', askedFps: 64, doneFps: 10 });
    expect(judged.remedies).toEqual([
      expect.objectContaining({ kind: 'rate', streamFps: 2.3, fps: 4 * 2.3, isEstimate: false }),
    ]);
  });

  it('names requests that apply the rate and take it back, one for all streams with the same settings', () => {
    const streams = [
      camera('a', { target: 16 }),
      camera('b', { target: 16 }),
      camera('c', { target: 16, config: { maxFps: 20, maxAgeMs: 900, track: { lostMs: 300 } as never } }),
      camera('free', { in: 16 }),
    ];
    const [remedy] = saidOf(busyDetector({ streams }))!.remedies;
    // 1000 / 2.3 is less than 500 ms.
    expect(remedy?.changes).toEqual([
      { streams: ['a', 'b', 'free'], body: { maxFps: 2.3 }, undo: { maxFps: null } },
      {
        streams: ['c'],
        body: { maxFps: 2.3, track: { lostMs: 435 } },
        undo: { maxFps: 20, track: { lostMs: 300 } },
      },
    ]);
  });

  it('lowers cameras whose rules follow objects last, and never below what these need while others have more', () => {
    const rules = ['crossings'];
    const streams = [camera('gate', { target: 16, rules }), ...['a', 'b', 'c'].map((id) => camera(id, { target: 16 }))];
    const [remedy] = saidOf(busyDetector({ streams }))!.remedies;
    // Of 9.5 inferences/s, 5 are for the gate.
    expect(remedy!.text).toBe('lower the rate to 1.5 frames/s each, to 5 where rules need it');
    expect(remedy).toMatchObject({ streamFps: 1.5, fps: 5 + 3 * 1.5 });
    expect(remedy!.breaks).toBeUndefined();
    expect(remedy!.changes.map(({ streams: ids, body }) => [ids, body.maxFps])).toEqual([
      [['gate'], 5],
      [['a', 'b', 'c'], 1.5],
    ]);
  });

  it('says which rules it breaks where not even the others together leave enough', () => {
    const streams = [
      camera('gate', { target: 16, rules: ['in', 'out'] }),
      camera('yard', { target: 16, rules: ['speed'] }),
      camera('free', { target: 16 }),
    ];
    const [remedy] = saidOf(busyDetector({ streams, capacity: 4 }))!.remedies;
    expect(remedy!.text).toBe(
      'lower the rate to 0.1 frames/s each, to 1.8 where rules need it, too few for in, out of gate; speed of yard',
    );
    expect(remedy!.breaks).toEqual([
      { stream: 'gate', rules: ['in', 'out'] },
      { stream: 'yard', rules: ['speed'] },
    ]);
  });

  it('gives all the same where that is enough for rules, or where all have some', () => {
    const both = [camera('gate', { target: 16, rules: ['in'] }), camera('free', { target: 16 })];
    const [enough] = saidOf(busyDetector({ streams: both, capacity: 20 }))!.remedies;
    expect(enough!.text).toBe('lower the rate to 9.5 frames/s each');
    const ruled = ['a', 'b', 'c', 'd'].map((id) => camera(id, { target: 16, rules: ['in'] }));
    const [all] = saidOf(busyDetector({ streams: ruled }))!.remedies;
    expect(all).toMatchObject({ streamFps: 2.3, fps: 4 * 2.3 });
    expect(all!.text).toMatch(
      /^lower the rate to 2\.3 frames\/s each, too few for in of a; in of b; in of c and 1 more$/,
    );
  });

  it('leaves targets as they are: what a limit keeps from them is a miss, and no lack of the host', () => {
    const lowered = ['a', 'b', 'c', 'd'].map((id) =>
      camera(id, { target: 16, in: 2.3, published: 2.3, config: { maxFps: 2.3 } }),
    );
    const behind = lowered.map((stream) => ({ ...stream, isBehind: false }));
    expect(saidOf(busyDetector({ streams: behind }))).toBeNull();
  });

  it('lets a frame wait for one interval: frames of all streams can come at once', () => {
    const [remedy] = saidOf(busyDetector({ capacity: 2 }))!.remedies;
    expect(remedy?.streamFps).toBe(0.47);
    expect(remedy?.changes[0]?.body).toMatchObject({ maxFps: 0.47, maxAgeMs: 2128 });
    expect(remedy?.changes[0]?.undo).toMatchObject({ maxFps: null, maxAgeMs: 500 });
  });

  it('names the least rate if the machine does nothing at all, and promises no more than it does', () => {
    const [remedy] = saidOf(busyDetector({ capacity: 0 }))!.remedies;
    expect(remedy).toMatchObject({ text: 'lower the rate to 0.1 frames/s each', streamFps: 0, fps: 0 });
    expect(remedy?.changes[0]?.body).toMatchObject({ maxFps: 0.1, maxAgeMs: 10_000 });
  });

  it('says what other programs take, if that is much', () => {
    expect(saidOf(busyDetector({ othersCores: 0.4 }))!.text).not.toContain('other programs');
    expect(saidOf(busyDetector({ othersCores: 1.26 }))!.text).toBe(
      'Detection cannot keep up: you ask 64 frames/s, this machine does 10; other programs use 1.3 of 2 cores: lower the rate to 2.3 frames/s each.',
    );
  });

  it('blames other programs where they have the processors, not the main thread that waits for one', () => {
    const busyRatio = { decode: 0.1, preprocess: 0.2, infer: 0.3, main: 0.6 };
    const load = busyDetector({ busyRatio, cpuCores: 0.5, othersCores: 1.5 });
    expect(saidOf(load)!.text).toMatch(
      /^Other programs use 1\.5 of 2 cores: you ask 64 frames\/s, this machine does 10: lower the rate/,
    );
    expect(saidOf({ ...load, cpuCores: 2, othersCores: 0 })!.text).toMatch(/^The main thread cannot keep up/);
  });

  it('leaves streams alone that ask for less, and shares the rest among the others', () => {
    const streams = [
      camera('slow', { target: 1, published: 1 }),
      camera('a', { target: 16 }),
      camera('b', { target: 16 }),
    ];
    const [remedy] = saidOf(busyDetector({ streams }))!.remedies;
    // (9.5 - 1) / 2
    expect(remedy).toMatchObject({ streamFps: 4.2, fps: 1 + 2 * 4.2 });
    expect(remedy?.changes.flatMap((change) => change.streams)).toEqual(['a', 'b']);
  });

  it('counts what a stream takes beyond its target, which is no limit', () => {
    const streams = [
      camera('few', { target: 5, in: 25, published: 15 }),
      camera('many', { target: 25, in: 25, published: 15 }),
    ];
    const judged = saidOf(busyDetector({ streams, capacity: 30 }))!;
    // Both take all they can get: half of 95 % of 30 each.
    expect(judged.text).toContain('you ask 30 frames/s, this machine does 30: lower the rate to 14 frames/s');
    const bodies = judged.remedies[0]!.changes.flatMap(({ streams: ids, body }) => ids.map((id) => [id, body.maxFps]));
    expect(bodies).toEqual([
      ['few', 14],
      ['many', 14],
    ]);
  });

  it('counts what a frame costs: its tiles, and the frames that are not inferred', () => {
    const tiled = [camera('tiled', { target: 16, views: 4 }), camera('plain', { target: 16 })];
    expect(saidOf(busyDetector({ streams: tiled }))?.remedies[0]?.streamFps).toBe(1.9);
    const skipping = [camera('skips', { target: 16, published: 4, inferred: 1 }), camera('plain', { target: 16 })];
    // 9.5 / (1 + 1/4)
    expect(saidOf(busyDetector({ streams: skipping }))?.remedies[0]?.streamFps).toBe(7.6);
  });

  it('names no rate that lowers nothing: a moment ago the host could do more than is asked of it', () => {
    const judged = saidOf(busyDetector({ capacity: 200 }))!;
    expect(judged.remedies).toEqual([]);
    expect(judged.text).toBe('Detection cannot keep up: you ask 64 frames/s, this machine does 10.');
  });

  it('names other models by what they give, as estimates, the fastest first, and only if that is more', () => {
    const models = [
      { name: 'as-slow', speedup: 1.05, basis: 'x' },
      { name: 'twice', speedup: 2, basis: '20 instead of 40 ms a frame' },
      { name: 'ten-times', speedup: 10, basis: '4 instead of 40 ms a frame' },
    ];
    const judged = saidOf(busyDetector({ models }))!;
    expect(judged.text).toBe(
      'Detection cannot keep up: you ask 64 frames/s, this machine does 10: lower the rate to 2.3 frames/s each, or use ten-times: about 16, or use twice: about 4.8.',
    );
    expect(judged.remedies.slice(1)).toMatchObject([
      // Preprocessing, which uses a tenth of its capacity for 10 frames/s, does 95.
      {
        kind: 'model',
        model: 'ten-times',
        streamFps: 16,
        fps: 64,
        isEstimate: true,
        basis: '4 instead of 40 ms a frame',
      },
      { kind: 'model', model: 'twice', streamFps: 4.75, changes: [] },
    ]);
  });

  it('does not promise more of a model than the other stages can do', () => {
    const models = [{ name: 'ten-times', speedup: 10, basis: 'x' }];
    const busyRatio = { ...IDLE, infer: 0.99, preprocess: 0.475 };
    const judged = saidOf(busyDetector({ models, busyRatio }))!;
    expect(judged.remedies[1]?.streamFps).toBeCloseTo((0.95 * 10 * (0.95 / 0.475)) / 4, 9);
  });

  it('is no overload if nothing is behind, nothing is busy, or few streams miss what the host does', () => {
    const fine = busyDetector().streams.map((stream) => ({ ...stream, isBehind: false }));
    expect(saidOf(busyDetector({ streams: fine }))).toBeNull();
    expect(saidOf(busyDetector({ busyRatio: IDLE }))).toBeNull();
    const one = ['a', 'b', 'c'].map((id) => camera(id, { target: 16, published: 16 }));
    expect(saidOf(busyDetector({ streams: [...one, camera('d', { target: 2, published: 1.5 })] }))).toBeNull();
    expect(saidOf(busyDetector({ streams: [] }))).toBeNull();
  });

  it('says so if frames are not too few but too late', () => {
    const late = ['a', 'b'].map((id) => ({ ...camera(id, { target: 5, published: 5 }), isBehind: true }));
    const judged = saidOf(busyDetector({ streams: late }))!;
    expect(judged.text).toBe(
      'Detection cannot keep up: frames are published too late: lower the rate to 4 frames/s each.',
    );
  });
});

describe('decoding that cannot keep up', () => {
  /** 1.5 of 1.95 cores decode a quarter of the frames that are asked for; an inference that waits for a core looks busy, too. */
  function busyDecoder(streams: readonly StreamLoad[], change: Partial<HostLoad> = {}): HostLoad {
    return busyDetector({ streams, cpuCores: 1.95, busyRatio: { ...IDLE, decode: 0.75, infer: 0.9 }, ...change });
  }
  const slow = { target: 8, in: 2, published: 2 };

  it('is told from a slow detector by frames that do not even enter, and answered by decoding less', () => {
    const judged = saidOf(busyDecoder([camera('a', slow), camera('b', { ...slow, keyFps: 0.5 })]))!;
    expect(judged.stage).toBe('decode');
    // All frames need 6 cores, reference frames 4.32: of 1.95 cores nothing is left for what comes behind, so they do not help.
    expect(judged.text).toBe(
      'Decoding cannot keep up: you ask 16 frames/s, this machine does 4: decode key frames only, as many as the sources have.',
    );
    expect(judged.remedies).toMatchObject([
      {
        kind: 'decode',
        isEstimate: true,
        changes: [{ streams: ['a', 'b'], body: { decode: 'key' }, undo: { decode: 'all' } }],
      },
    ]);
    const light = busyDecoder([camera('a', { ...slow, in: 7 })], { busyRatio: { ...IDLE, decode: 0.75, infer: 0.9 } });
    expect(saidOf(light)!.text).toMatch(
      /^Decoding cannot keep up: you ask 8 frames\/s, this machine does 2: decode reference frames only: about [3-8](\.\d)? frames\/s, or /,
    );
  });

  it('is named if it takes a part of the cores only, all are busy, and frames do not enter', () => {
    const streams = ['a', 'b'].map((id) => camera(id, { target: 25, in: 6, published: 6 }));
    const usage = { cpuCores: 1.96, busyRatio: { ...IDLE, decode: 0.479, infer: 0.77 } };
    expect(saidOf(busyDetector({ streams, ...usage }))?.stage).toBe('decode');
    const entered = ['a', 'b'].map((id) => camera(id, { target: 25, in: 25, published: 6 }));
    expect(saidOf(busyDetector({ streams: entered, ...usage }))?.stage, 'all enter').toBe('infer');
    expect(saidOf(busyDetector({ streams: entered, ...usage, cpuCores: 1.2 })), 'a core is idle').toBeNull();
  });

  it('is told from a slow detector by that having time, if all frames enter and many get too old', () => {
    const streams = ['a', 'b'].map((id) => camera(id, { target: 8, in: 8, published: 2 }));
    const busyRatio = { ...IDLE, decode: 0.75, infer: 0.4, main: 0.85 };
    expect(saidOf(busyDecoder(streams, { busyRatio }))?.stage).toBe('decode');
    expect(saidOf(busyDecoder(streams, { busyRatio, cpuCores: 1.6 }))?.stage, 'a core is idle').toBe('main');
    // One thread is busy, whatever the decoders do.
    expect(saidOf(busyDecoder(streams, { busyRatio: { ...busyRatio, infer: 0.99 } }))?.stage).toBe('infer');
  });

  it('predicts what the cores that decoding leaves can do, and no more key frames than a source has', () => {
    const judged = saidOf(busyDecoder([camera('a', { ...slow, keyFps: 0.5 }), camera('b', { ...slow, keyFps: 20 })]))!;
    // Key frames need 6 * 0.19 = 1.14 cores; 0.81 are left, and a frame takes 0.45 / 4 of a core and 2 ms beside its decoding.
    expect(judged.remedies[0]!.fps).toBeCloseTo(0.81 / (0.45 / 4 + 0.002), 9);
    expect(judged.remedies[0]!.streamFps).toBeCloseTo((8 / 8.5) * (0.81 / (0.45 / 4 + 0.002)), 9);
    const cheap = busyDecoder([camera('a', { ...slow, keyFps: 0.5 }), camera('b', { ...slow, keyFps: 20 })], {
      busyRatio: { ...IDLE, decode: 0.95, infer: 0.9 },
    });
    expect(saidOf(cheap)!.remedies.at(-1)).toMatchObject({ fps: 0.5 + 8, streamFps: 8 });
  });

  it('tells what goes with each frame from what goes with the packets, and counts frames that come too late', () => {
    const streams = ['a', 'b'].map((id) => camera(id, { ...slow, keyFps: 8, keyShare: 1 / 50 }));
    const busyRatio = { ...IDLE, decode: 0.5, infer: 0.9 };
    /** One of 1.95 cores decodes a quarter; key frames of this source take 0.144 of the time of all. */
    const judge = (inferred: number): number => {
      const remedies = saidOf(busyDecoder(streams, { busyRatio, inferred, inferCores: 0.4 }))!.remedies;
      expect(remedies).toHaveLength(1);
      return remedies[0]!.fps!;
    };
    const expected = (inferred: number): number => {
      const perFrame = 0.4 / inferred + 0.002;
      return (1.95 - 4 * 0.144 - (0.95 - inferred * perFrame)) / perFrame;
    };
    expect(judge(4)).toBeCloseTo(expected(4), 9);
    expect(judge(6), 'two of six come too late').toBeCloseTo(expected(6), 9);
  });

  it('offers nothing where every frame is a key frame', () => {
    const streams = [camera('mjpeg', { target: 25, in: 20, published: 5, keyFps: 20, hasKeyFramesOnly: true })];
    const usage = { cores: 2, cpuCores: 1.95, busyRatio: { ...IDLE, decode: 0.9 } };
    expect(saidOf({ ...busyDetector({ streams, ...usage }) })?.remedies).toEqual([]);
  });

  it('names what is left: key frames where reference frames are decoded, nothing below', () => {
    const reference = { ...slow, config: { decode: 'reference' } } as const;
    const judged = saidOf(busyDecoder([camera('a', reference), camera('b', reference)]))!;
    expect(judged.remedies.map(({ changes }) => changes)).toEqual([
      [{ streams: ['a', 'b'], body: { decode: 'key' }, undo: { decode: 'reference' } }],
    ]);
    const key = { ...slow, config: { decode: 'key' } } as const;
    expect(saidOf(busyDecoder([camera('a', key)]))?.text).toBe(
      'Decoding cannot keep up: you ask 8 frames/s, this machine does 2: read smaller streams of the cameras, or fewer.',
    );
  });
});
