import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import { StreamRules } from '../../../../src/fleet/control/orders/stream-rules.ts';
import { mergeSettings } from '../../../../src/settings/config/merge-settings.ts';
import { parseStream } from '../../../../src/settings/config/parse-stream.ts';
import { streamConfig, streamDefaults } from '../../../../src/settings/config/stream.ts';
import { validPatch } from '../../../support/random-patches.ts';

type Settings = Record<string, unknown>;

/** RFC 7396, appendix A, as far as both are objects: original, patch, result. */
const RFC: readonly [Settings, Settings, Settings][] = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
];

describe('a merge of settings', () => {
  it.each(RFC)('%j with %j is %j', (settings, change, result) => {
    const before = structuredClone(settings);
    expect(mergeSettings(settings, change)).toEqual(result);
    expect(settings).toEqual(before);
  });
});

describe('a change of a stream', () => {
  const rules = new StreamRules({ defaults: {}, admit: () => undefined });
  const plain = parseStream({ id: 'cam', source: 'rtsp://camera/1' }, {});
  const isSection = (value: unknown): value is Settings =>
    typeof value === 'object' && value !== null && !Array.isArray(value);

  /** Every setting with a value that is not its default. */
  const FULL: Settings = {
    policy: 'live',
    loop: true,
    realtime: true,
    insecureTls: true,
    transport: 'udp',
    every: 2,
    maxFps: 25,
    hwaccel: 'cuda',
    resizeBy: 'sharp',
    decode: 'key',
    decodeThreads: 2,
    priority: 3,
    weight: 2,
    queueSize: 5,
    maxAgeMs: 900,
    staleMs: 4000,
    openTimeoutMs: 5000,
    signs: ['black'],
    labels: ['car'],
    scoreThreshold: 0.6,
    model: 'night',
    stages: ['colour'],
    modelWhen: [{ model: 'far', times: { on: ['daily 20:00-06:00'] } }],
    region: { x: 0.1, y: 0.1, width: 0.5, height: 0.5 },
    tiles: { columns: 2, rows: 2, overlap: 0.1, whole: false },
    target: { fps: 10, latencyMs: 200 },
    track: { highScore: 0.5, lowScore: 0.2, newScore: 0.6, matchIou: 0.3, lostMs: 2000, minHits: 4 },
    skip: { unchanged: { lookEveryMs: 900, minLevels: 5 }, trackBetween: { min: 2, max: 4 } },
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
    lines: [{ id: 'l', from: [0, 0.5], to: [1, 0.5] }],
    events: [{ id: 'e', kind: 'appears' }],
    record: 'events',
    live: true,
    recordMasked: 'allowed',
    masks: [
      {
        id: 'm',
        polygon: [
          [0, 0],
          [1, 0],
          [1, 1],
        ],
      },
    ],
  };
  const full = streamConfig.parse({ ...plain, ...FULL }) as Settings & typeof plain;

  it('names every setting of the schema', () => {
    expect(Object.keys(FULL).toSorted()).toEqual(Object.keys(streamDefaults.shape).toSorted());
  });

  it('takes the leave to record away only if nothing is recorded', async () => {
    await expect(rules.changed(full, { recordMasked: null })).rejects.toThrow('no recording of a stream with masks');
    const none = { recordMasked: null, record: null, live: null };
    await expect(rules.changed(full, none)).resolves.toMatchObject({ recordMasked: 'refused', live: false });
  });

  it.each(Object.keys(FULL).filter((key) => key !== 'recordMasked'))(
    '%s: null gives the default and leaves the others alone',
    async (key) => {
      const { [key]: _, ...others } = full;
      const { [key]: byDefault } = plain as Settings;
      expect(await rules.changed(full, { [key]: null })).toEqual(
        byDefault === undefined ? others : { ...others, [key]: byDefault },
      );
    },
  );

  const inSections = Object.entries(FULL).flatMap(([key, value]) =>
    isSection(value) ? Object.entries(full[key] as Settings).map(([name, inner]) => [key, name, inner] as const) : [],
  );
  it.each(inSections)('%s.%s alone leaves the rest of its section as it is', async (key, name, inner) => {
    expect(await rules.changed(full, { [key]: { [name]: inner } })).toEqual(full);
  });

  it('of a target keeps the other one, and null takes one away', async () => {
    const both = await rules.changed(plain, { target: { fps: 5, latencyMs: 300 } });
    const one = await rules.changed(both, { target: { fps: 1 } });
    expect(one.target).toEqual({ fps: 1, latencyMs: 300 });
    expect((await rules.changed(one, { target: { fps: null } })).target).toEqual({ latencyMs: 300 });
    expect((await rules.changed(one, { target: null })).target).toEqual({});
  });

  it.each(['source', 'id'])('cannot take %s away', async (key) => {
    await expect(rules.changed(plain, { [key]: null })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(`${key}: expected`),
    });
  });

  it('by random valid patches: what was not named stays, and the same patch twice changes nothing more', async () => {
    const random = seededRandom(7396);
    let config = plain;
    for (let round = 0; round < 200; round++) {
      const patch = validPatch(random);
      const next = await rules.changed(config, patch).catch(() => null);
      // Sections merge, so a patch that is valid alone may contradict what is there.
      if (next === null) continue;
      const named = new Set(Object.keys(patch));
      const rest = (settings: object): object =>
        Object.fromEntries(Object.entries(settings).filter(([key]) => !named.has(key)));
      expect(rest(next)).toEqual(rest(config));
      expect(await rules.changed(next, patch)).toEqual(next);
      config = next;
    }
    expect(config).not.toEqual(plain);
  });

  it('of a new stream with null leaves out what the defaults say', () => {
    const defaults = { maxFps: 5, target: { fps: 5 } };
    const added = parseStream({ id: 'cam', source: 'a', maxFps: null, target: null }, defaults);
    expect([added.maxFps, added.target]).toEqual([undefined, {}]);
  });
});
