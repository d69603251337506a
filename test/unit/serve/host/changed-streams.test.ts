import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BLIND_SIGNS } from '../../../../src/base/core/blind-sign.ts';
import type { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { resolveStreamInput } from '../../../../src/frame/runtime/stream/stream-input.ts';
import { conservationGap } from '../../../../src/frame/telemetry/stream-telemetry.ts';
import type { StreamVersion } from '../../../../src/serve/host/host-streams.ts';
import { parseStream } from '../../../../src/settings/config/parse-stream.ts';
import { FFMPEG, SOURCE, StreamRig } from '../../../support/stream-rig.ts';

/** One box, as an engine packs it. */
const PERSON = Float32Array.of(8, 8, 16, 16, 0.9, 0);

const score = fc.double({ min: 0, max: 1, noNaN: true });
const ratio = fc.double({ min: 0, max: 1, noNaN: true });
const point = fc.oneof(fc.constantFrom([0, 0], [1, 1], [0.5, 0.5]), fc.tuple(ratio, ratio));
const some = <T>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(shape, { requiredKeys: [] });
/** Values around the bounds of each setting and values that no setting takes. */
const oddly = <T>(good: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 12, arbitrary: good }, fc.constantFrom<unknown>(null, -1, 1e9, Number.NaN, 'x', {}, []));
const id = fc.constantFrom('a', 'b', 'c');

const settings = {
  every: oddly(fc.integer({ min: 1, max: 1000 })),
  maxFps: oddly(fc.double({ min: 0.1, max: 1000, noNaN: true })),
  policy: oddly(fc.constantFrom('auto', 'live')),
  realtime: oddly(fc.boolean()),
  source: oddly(fc.constantFrom(SOURCE, '/no/such/file.mp4', 'ftp://nowhere')),
  priority: oddly(fc.integer({ min: -100, max: 100 })),
  queueSize: oddly(fc.integer({ min: 1, max: 64 })),
  maxAgeMs: oddly(fc.integer({ min: 1, max: 60_000 })),
  staleMs: oddly(fc.integer({ min: 100, max: 600_000 })),
  target: oddly(some({ fps: fc.double({ min: 0.1, max: 1000, noNaN: true }), latencyMs: fc.integer({ min: 1 }) })),
  track: oddly(
    fc.oneof(
      fc.boolean(),
      some({ lowScore: score, highScore: score, newScore: score, lostMs: fc.integer({ min: 0, max: 600_000 }) }),
    ),
  ),
  zones: oddly(fc.array(fc.record({ id, polygon: fc.array(point, { minLength: 2, maxLength: 5 }) }), { maxLength: 3 })),
  lines: oddly(fc.array(fc.record({ id, from: point, to: point }), { maxLength: 3 })),
  region: oddly(fc.oneof(fc.constant('zones'), fc.record({ x: ratio, y: ratio, width: ratio, height: ratio }))),
  tiles: oddly(fc.record({ columns: fc.integer({ min: 1, max: 5 }), rows: fc.integer({ min: 1, max: 5 }) })),
  skip: oddly(
    some({ unchanged: fc.boolean(), trackBetween: fc.constantFrom<unknown>(1, 5, 'auto', { min: 3, max: 2 }) }),
  ),
  decodeThreads: oddly(fc.integer({ min: 0, max: 64 })),
};

/** Up to four settings at once. */
const patches = fc
  .subarray(Object.keys(settings) as (keyof typeof settings)[], { minLength: 1, maxLength: 4 })
  .chain((keys) => fc.record(Object.fromEntries(keys.map((key) => [key, settings[key] as fc.Arbitrary<unknown>]))));

/** What null takes away is not looked for. */
const withoutNull = (_: string, value: unknown): unknown => (value === null ? undefined : value);

describe('thousands of changes of a live stream, valid and invalid', () => {
  it('leave it running with the old or the new settings, as a whole, and count every frame', async () => {
    const rig = await StreamRig.open();
    let accepted = 0;
    let last = 0;
    const changes = fc.asyncProperty(patches, fc.integer({ min: 0, max: 9 }), async (patch, luck) => {
      const before = rig.stream.config;
      rig.breaksNext = luck === 0;
      const failure = await rig.patch(patch).then(
        () => null,
        (error: SightlineError) => error,
      );
      const isBroken = luck === 0 && !rig.breaksNext;
      rig.breaksNext = false;
      await new Promise((resolve) => setImmediate(resolve));
      expect(rig.stream.state).toBe('running');
      if (failure === null)
        expect(rig.stream.config).toMatchObject(JSON.parse(JSON.stringify(patch, withoutNull)) as object);
      else expect(rig.stream.config).toBe(before);
      if (failure !== null && !isBroken)
        expect(failure.code).toMatch(/^(CONFIG_INVALID|SOURCE_(NOT_FOUND|UNREADABLE|UNREACHABLE))$/);
      if (failure === null) accepted += 1;
      const frame = rig.frame();
      expect(frame).toBeGreaterThan(last);
      last = frame;
      const { ledger, telemetry } = rig.stream;
      expect(conservationGap(telemetry.frames(ledger.inFlight))).toBe(0);
    });
    await fc.assert(changes, { numRuns: 3000 });
    expect(accepted).toBeGreaterThan(200);
  }, 120_000);
});

describe('a change', () => {
  it('whose new settings cannot be opened puts the old ones back, and says why', async () => {
    const rig = await StreamRig.open();
    rig.breaksNext = true;
    await expect(rig.patch({ every: 3 })).rejects.toThrow('Array buffer allocation failed');
    await new Promise((resolve) => setImmediate(resolve));
    expect([rig.stream.state, rig.stream.config.every]).toEqual(['running', 1]);
  });

  it('after a failed start starts the stream again, which was failed and not starting', async () => {
    const rig = await StreamRig.open();
    rig.breaksNext = true;
    const broken = rig.patch({ every: 3 }).catch((error: Error) => {
      rig.breaksNext = false;
      return error.message;
    });
    expect(await broken).toBe('Array buffer allocation failed');
    await rig.host.pause('cam');
    rig.breaksNext = true;
    await rig.host.resume('cam');
    expect([rig.stream.state, rig.stream.failure?.message]).toEqual(['failed', 'Array buffer allocation failed']);
    await rig.patch({ every: 2 });
    await new Promise((resolve) => setImmediate(resolve));
    expect(rig.stream.state, 'a change starts it again').toBe('running');
  });

  it('keeps counts, frame numbers and the counts of lines that stay the same', async () => {
    const lines = [{ id: 'gate', from: [0, 0], to: [1, 1] }];
    const rig = await StreamRig.open({ track: true, lines });
    const first = rig.frame();
    await rig.patch({ every: 2, maxAgeMs: 700 });
    await new Promise((resolve) => setImmediate(resolve));
    expect(rig.frame()).toBeGreaterThan(first);
    expect(rig.stream.telemetry.frames(0)).toMatchObject({ in: 2, published: 2, dropped: {} });
    await rig.patch({
      zones: [
        {
          id: 'z',
          polygon: [
            [0, 0],
            [1, 0],
            [1, 1],
          ],
        },
      ],
    });
    expect(rig.stream.counts).toEqual({
      zones: [{ id: 'z', inside: 0 }],
      lines: [{ id: 'gate', leftToRight: 0, rightToLeft: 0 }],
    });
  });

  it.each<[string, object]>([
    ['another source', { source: 'synthetic:testsrc2=size=32x32:rate=10' }],
    ['another decoder', { hwaccel: 'auto', decodeThreads: 2 }],
    ['a region', { region: { x: 0, y: 0, width: 0.9, height: 0.9 } }],
  ])('that opens %s goes on with the tracks and the counts of lines', async (_, patch) => {
    const gate = { id: 'gate', from: [0.5, 1], to: [0.5, 0], settleMs: 0, settleFrames: 1 };
    const rig = await StreamRig.open({ track: { minHits: 1 }, lines: [gate] });
    const walk = (): void => {
      for (let x = 10; x <= 38; x += 2) rig.frame(Float32Array.of(x, 8, 16, 16, 0.9, 0));
    };
    walk();
    expect(rig.stream.counts.lines).toEqual([{ id: 'gate', leftToRight: 1, rightToLeft: 0 }]);
    // Here is no ffmpeg to try another source.
    const config = parseStream({ ...rig.stream.config, ...patch }, {});
    await rig.stream.reopen(config, await resolveStreamInput(config, FFMPEG, null));
    expect(rig.stream.counts.lines, 'the old count').toEqual([{ id: 'gate', leftToRight: 1, rightToLeft: 0 }]);
    for (let k = 0; k < 60; k += 1) rig.frame();
    walk();
    expect(rig.stream.counts.lines).toEqual([{ id: 'gate', leftToRight: 2, rightToLeft: 0 }]);
    const ids = rig.published.flatMap(({ detections }) => detections.map(({ trackId }) => trackId));
    expect([...new Set(ids)], 'no id for two objects').toEqual([1, 2]);
    expect(rig.stream.telemetry.frames(0)).toMatchObject({ in: 90, published: 90, dropped: {} });
  });

  it.each<[string, object]>([
    ['takes other frames', { every: 2 }],
    ['takes fewer frames', { maxFps: 5 }],
    ['reads ahead or in time', { realtime: false }],
    ['fails to open', { every: 3 }],
  ])('that %s stays in the run of the stream, in which no frame number comes again', async (what, patch) => {
    const rig = await StreamRig.open();
    for (let i = 0; i < 7; i += 1) rig.frame();
    rig.breaksNext = what === 'fails to open';
    const failure = await rig.patch(patch).catch((error: Error) => error.message);
    expect(typeof failure === 'string').toBe(what === 'fails to open');
    await new Promise((resolve) => setImmediate(resolve));
    expect(rig.firstFrame, 'the frame after the last one').toBe(rig.published.at(-1)!.frame + 1);
    for (let i = 0; i < 3; i += 1) rig.frame();
    expect(rig.published).toHaveLength(10);
    expect(new Set(rig.published.map(({ run }) => run)).size).toBe(1);
  });

  it.each([
    ['another live source', { source: 'synthetic:testsrc2=size=32x32:rate=10' }],
    ['a file, from its start', { policy: 'file' }],
  ])('that leads to %s does not number its frames from 0 again', async (_, settings) => {
    const rig = await StreamRig.open();
    for (let i = 0; i < 7; i += 1) rig.frame();
    const config = parseStream({ id: 'cam', source: SOURCE, ...settings }, {});
    await rig.stream.reopen(config, await resolveStreamInput(config, FFMPEG, null));
    expect(rig.firstFrame).toBe(rig.published.at(-1)!.frame + 1);
    rig.frame();
    expect(new Set(rig.published.map(({ run }) => run)).size).toBe(1);
  });

  it('that opens the source again is one event in the words of the user, without a pause', async () => {
    const rig = await StreamRig.open();
    rig.events.length = 0;
    await rig.patch({ decodeThreads: 2 });
    await new Promise((resolve) => setImmediate(resolve));
    expect(rig.events).toEqual([
      ['cam: settings changed, its source is opened again', { from: 'running', to: 'starting', code: null }],
      ['cam is running', { from: 'starting', to: 'running', code: null }],
    ]);
    await rig.host.pause('cam');
    expect(rig.events.slice(2).map(([message]) => message)).toEqual(['cam is pausing', 'cam is paused']);
  });

  it('that opens the source again forgets the error of the old settings', async () => {
    const rig = await StreamRig.open();
    rig.loseConnection('nothing answers');
    expect(rig.stream.report(0, 0)).toMatchObject({ state: 'reconnecting', lastError: 'nothing answers' });
    await rig.patch({ decodeThreads: 2 });
    await new Promise((resolve) => setImmediate(resolve));
    expect(rig.stream.report(0, 0)).toMatchObject({ state: 'running', lastError: null });
  });

  it('of a paused stream leaves it paused', async () => {
    const rig = await StreamRig.open();
    await rig.host.pause('cam');
    await rig.patch({ every: 2 });
    expect([rig.stream.state, rig.stream.config.every]).toEqual(['paused', 2]);
    await rig.host.resume('cam');
    await new Promise((resolve) => setImmediate(resolve));
    expect(rig.stream.state).toBe('running');
  });

  it('of a stream that is still pausing waits for that, and leaves it paused', async () => {
    const rig = await StreamRig.open();
    const paused = rig.host.pause('cam');
    const changed = rig.patch({ every: 2 });
    await Promise.all([paused, changed]);
    expect([rig.stream.state, rig.stream.config.every]).toEqual(['paused', 2]);
  });

  it('that only concerns analytics does not open the source again', async () => {
    const rig = await StreamRig.open();
    const reopened = rig.stream.state;
    await rig.patch({ track: true, lines: [{ id: 'l', from: [0, 0], to: [1, 0] }], priority: 3 });
    expect([reopened, rig.stream.state]).toEqual(['running', 'running']);
    expect(rig.stream.counts.lines).toEqual([{ id: 'l', leftToRight: 0, rightToLeft: 0 }]);
  });

  it('moves a zone and a line in the report, which says where they are', async () => {
    const rig = await StreamRig.open({ zones: [{ id: 'z', polygon: CORNERS }] });
    await rig.patch({
      zones: [{ id: 'z', polygon: CORNERS.toReversed() }],
      lines: [{ id: 'l', from: [0, 0], to: [1, 0] }],
    });
    const { zones, lines } = rig.stream.report(0, 0);
    expect(zones).toEqual([{ id: 'z', inside: 0, polygon: CORNERS.toReversed() }]);
    expect(lines).toEqual([{ id: 'l', leftToRight: 0, rightToLeft: 0, from: [0, 0], to: [1, 0] }]);
    const many = Array.from({ length: 1000 }, (_, i) => [i / 1000, (i % 2) / 2]);
    await rig.patch({ zones: ['a', 'b', 'c'].map((id) => ({ id, polygon: many })), lines: [] });
    expect(rig.stream.report(0, 0).zones).toEqual(['a', 'b', 'c'].map((id) => ({ id, inside: 0 })));
  });
});

const CORNERS: [number, number][] = [
  [0, 0],
  [1, 0],
  [1, 1],
];

describe('a change in place', () => {
  const MASK = {
    id: 'street',
    polygon: [
      [0, 0],
      [1, 0],
      [1, 1],
    ],
  };
  const ALL = {
    every: 1,
    maxFps: null,
    changeGate: null,
    findsShift: false,
    keepsInput: false,
    staleMs: 3000,
    openTimeoutMs: 10_000,
    masks: [],
    signs: [...BLIND_SIGNS],
  };
  const zone = {
    id: 'z',
    polygon: [
      [0, 0],
      [1, 0],
      [1, 1],
    ],
  };

  it.each<[string, object, readonly object[]]>([
    ['the rate', { maxFps: 7 }, [{ ...ALL, maxFps: 7 }]],
    ['which frames are taken', { every: 3 }, [{ ...ALL, every: 3 }]],
    [
      'the change gate',
      { skip: { unchanged: { lookEveryMs: 900, minLevels: 2 } } },
      [{ ...ALL, changeGate: { lookEveryMs: 900, minLevels: 2 } }],
    ],
    ['when it counts as stale', { staleMs: 9000 }, [{ ...ALL, staleMs: 9000 }]],
    ['how long it may take to open', { openTimeoutMs: 500 }, [{ ...ALL, openTimeoutMs: 500 }]],
    ['which signs are looked for', { signs: ['black'] }, [{ ...ALL, signs: ['black'] }]],
    ['masks', { masks: [MASK] }, [{ ...ALL, masks: [{ ...MASK, fill: 'black' }] }]],
    ['what only other kinds of sources have', { transport: 'udp', insecureTls: true }, []],
    ['tracking between', { skip: { trackBetween: 4 } }, [{ ...ALL, findsShift: true }]],
    ['the tracker', { track: { highScore: 0.4 } }, [{ ...ALL, findsShift: true }]],
    ['zones', { zones: [zone] }, [{ ...ALL, findsShift: true }]],
    ['lines', { lines: [{ id: 'l', from: [0, 0], to: [1, 0] }] }, [{ ...ALL, findsShift: true }]],
    ['targets', { target: { fps: 5, latencyMs: 100 } }, []],
    ['its share', { priority: 4, weight: 3, queueSize: 5, maxAgeMs: 100 }, []],
    ['what it has already', { source: SOURCE, every: 1, skip: {}, region: undefined }, []],
    [
      'all of these',
      { maxFps: 7, every: 2, zones: [zone], track: true, weight: 2 },
      [{ ...ALL, maxFps: 7, every: 2, findsShift: true }],
    ],
  ])('of %s keeps the connection', async (_, patch, tuned) => {
    const rig = await StreamRig.open({ policy: 'live' });
    rig.frame();
    await rig.patch(patch);
    expect([rig.openings, rig.tuned]).toEqual([1, tuned]);
    rig.frame();
    expect(rig.published.map(({ frame }) => frame)).toEqual([1, 2]);
    expect(rig.stream.state).toBe('running');
  });

  it.each<[string, object]>([
    ['the source', { realtime: false }],
    ['the decoder', { hwaccel: 'cuda' }],
    ['its threads', { decodeThreads: 3 }],
    ['the region', { region: { x: 0, y: 0, width: 0.5, height: 0.5 } }],
    ['tiles', { tiles: { columns: 2, rows: 1 } }],
  ])('of %s is not possible: the source is opened again', async (_, patch) => {
    const rig = await StreamRig.open({ policy: 'live' });
    await rig.patch(patch);
    expect([rig.openings, rig.tuned]).toEqual([2, []]);
  });

  it.each<[source: string, inPlace: object, reopening: object]>([
    [
      'rtsp://camera.example/1',
      { policy: 'live', loop: true, realtime: true, insecureTls: true },
      { transport: 'udp' },
    ],
    ['rtsps://camera.example/1', { policy: 'live', transport: 'udp' }, { insecureTls: true }],
    ['https://camera.example/a.m3u8', { transport: 'udp', realtime: false }, { insecureTls: true }],
    ['http://camera.example/a.ts', { transport: 'udp', realtime: false }, { realtime: true }],
    [`${'$'}{env:CAMERA}`, {}, { transport: 'udp' }],
  ])('of %s is in place where a setting has no effect on such a source', async (source, inPlace, reopening) => {
    const config = parseStream({ id: 'cam', source, policy: 'auto' }, {});
    const input = await resolveStreamInput({ ...config, source: SOURCE }, FFMPEG, null);
    const rig = new StreamRig(config, input);
    const to = (patch: object) => ({ ...rig.stream.arrangement, config: parseStream({ ...config, ...patch }, {}) });
    expect(rig.stream.isInPlace(to(inPlace))).toBe(true);
    expect(rig.stream.isInPlace(to(reopening))).toBe(false);
    expect(rig.stream.isInPlace(to({ policy: 'file' }))).toBe(false);
  });

  it('of the policy goes on in media time: the next connection begins behind the newest frame', async () => {
    const rig = await StreamRig.open({ policy: 'live' });
    for (let i = 0; i < 3; i += 1) rig.frame();
    const lastUs = rig.published.at(-1)!.ptsUs;
    expect(lastUs).toBeGreaterThan(0);
    await rig.patch({ policy: 'file' });
    expect(rig.connection.mediaTime.shiftUs).toBeGreaterThan(lastUs);
    expect(rig.connection.after).toBeNull();
    await rig.patch({ policy: 'live' });
    expect(rig.connection.mediaTime).toEqual({ lastUs, shiftUs: null });
  });

  it.each<[string, object]>([
    ['of a file', { policy: 'file' }],
    ['whose pictures sharp fits, of the change gate', { resizeBy: 'sharp' }],
  ])('%s is not possible: the source is opened again', async (what, settings) => {
    const config = parseStream({ id: 'cam', source: SOURCE, policy: 'live', ...settings }, {});
    const input = await resolveStreamInput({ ...config, resizeBy: 'auto' }, FFMPEG, null);
    const picture = what === 'of a file' ? null : { width: 64, height: 64 };
    const rig = new StreamRig(config, { ...input, picture });
    const to = (patch: object) => ({ ...rig.stream.arrangement, config: parseStream({ ...config, ...patch }, {}) });
    expect(rig.stream.isInPlace(to({ skip: { unchanged: true } }))).toBe(what === 'of a file');
    expect(rig.stream.isInPlace(to({ every: 2 }))).toBe(what !== 'of a file');
    expect(rig.stream.isInPlace(to({ weight: 2 }))).toBe(true);
  });

  it('of a paused stream holds for the connection after it', async () => {
    const rig = await StreamRig.open({ policy: 'live' });
    await rig.host.pause('cam');
    await rig.patch({ maxFps: 3, skip: { unchanged: true } });
    await rig.host.resume('cam');
    expect(rig.connection).toMatchObject({ maxFps: 3, changeGate: { minLevels: 3 } });
    expect(rig.tuned).toEqual([]);
  });
});

describe('a stream that is removed and added again', () => {
  it('has another, later run, also within the same millisecond', async () => {
    const rigs = [await StreamRig.open(), await StreamRig.open(), await StreamRig.open()];
    for (const rig of rigs) rig.frame();
    const runs = rigs.map(({ published }) => published[0]!.run!);
    expect(runs).toEqual([...new Set(runs)].toSorted());
    expect(new Date(runs[0]!).toISOString()).toBe(runs[0]);
  });
});

describe('a version of a roll-out', () => {
  const plain: StreamVersion = { instance: 'default', changes: undefined };
  const halved: StreamVersion = { instance: 'default', changes: { all: { every: 2 }, byId: {} } };

  it('stays a patch on the settings, whatever is changed meanwhile, and goes with its patch', async () => {
    const rig = await StreamRig.open();
    await rig.host.arrange('cam', halved, plain);
    expect(rig.stream.config.every).toBe(2);
    await rig.patch({ maxAgeMs: 700, maxFps: 5 });
    expect(rig.stream.config).toMatchObject({ every: 2, maxFps: 5, maxAgeMs: 700 });
    await rig.host.arrange('cam', plain, null);
    expect(rig.stream.config).toMatchObject({ every: 1, maxFps: 5, maxAgeMs: 700 });
  });

  it('that cannot be opened leaves the stream as it was, also for later changes', async () => {
    const rig = await StreamRig.open();
    rig.breaksNext = true;
    await expect(rig.host.arrange('cam', halved, plain)).rejects.toThrow('Array buffer allocation failed');
    await new Promise((resolve) => setImmediate(resolve));
    expect([rig.stream.state, rig.stream.config.every]).toEqual(['running', 1]);
    await rig.patch({ maxFps: 5 });
    expect(rig.stream.config.every).toBe(1);
  });

  it('is taken by a paused stream, which is to be arranged again once it runs', async () => {
    const rig = await StreamRig.open();
    await rig.host.pause('cam');
    expect(await rig.host.arrange('cam', halved, plain)).toBe(false);
    expect([rig.stream.state, rig.stream.config.every]).toEqual(['paused', 2]);
    await rig.host.resume('cam');
    expect(await rig.host.arrange('cam', halved, plain)).toBe(true);
    expect(rig.stream.arrangement.beside?.instance).toBe('default');
  });

  it('that turns tracking off and on again keeps the tracks', async () => {
    const tracked: StreamVersion = { instance: 'default', changes: { all: { skip: { trackBetween: 2 } }, byId: {} } };
    const rig = await StreamRig.open();
    const ids: (number | undefined)[] = [];
    for (const version of [tracked, plain, tracked]) {
      await rig.host.arrange('cam', version, null);
      for (let i = 0; i < 6; i += 1) {
        rig.frame(PERSON);
        ids.push(rig.published.at(-1)?.detections[0]?.trackId);
      }
    }
    const [first, without, again] = [ids.slice(0, 6), ids.slice(6, 12), ids.slice(12)];
    expect(first.at(-1)).toBe(1);
    expect(without.at(-1)).toBeUndefined();
    expect(again.at(-1), 'the same object').toBe(1);
  });

  it('compares what both need from the lane anew after a change of the settings', async () => {
    const rig = await StreamRig.open();
    const compared = () => rig.host.compareVersions(rig.stream, plain, halved);
    expect(compared()).toEqual({ isInPlace: false, isSamePicture: true, pace: { ratio: 0.5, mostFps: null } });
    await rig.patch({ maxFps: 5 });
    expect(compared().pace).toEqual({ ratio: 0.5, mostFps: 5 });
    expect(rig.host.compareVersions(rig.stream, plain, plain).pace).toBeNull();
  });
});
