import { describe, expect, it } from 'vitest';
import { redactSource } from '../../../../src/base/core/redact.ts';
import type { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { openMemoryControlPlane } from '../../../../src/fleet/control/memory/memory-control-plane.ts';
import { JobOrders } from '../../../../src/fleet/control/orders/job-orders.ts';
import { StreamRules } from '../../../../src/fleet/control/orders/stream-rules.ts';
import { parsePipeline } from '../../../../src/serve/pipeline/load-pipeline.ts';
import { parseStream } from '../../../../src/settings/config/parse-stream.ts';

const SQUARE = [
  [0, 0],
  [1, 0],
  [1, 1],
];
const MASK = { id: 'm', polygon: SQUARE };
const DIAGONAL = [
  [0.1, 0.1],
  [0.2, 0.2],
  [0.7, 0.7],
];
const LINE = { id: 'l', from: [0, 0], to: [1, 1] };

/** Settings that are valid one by one, and what is said about them together. */
const CONTRADICTIONS: readonly [settings: object, complaint: string][] = [
  [
    { track: { lowScore: 0.45, newScore: 0.4 } },
    'track.newScore: expected at least lowScore, 0.45, received 0.4 (number)',
  ],
  [
    { track: { lowScore: 0.45, highScore: 0.4 } },
    'track.highScore: expected at least lowScore, 0.45, received 0.4 (number)',
  ],
  [
    { track: { highScore: 0.3, newScore: 0.2 } },
    'track.newScore: expected at least highScore, 0.3, received 0.2 (number)',
  ],
  [
    { lines: [LINE, { id: 'm', from: [0.5, 0.5], to: [0.5, 0.5] }] },
    'lines[1].to: expected a point other than from, received [0.5,0.5] (list)',
  ],
  ...['zones', 'masks'].map((key): [object, string] => [
    {
      [key]: [
        { id: 'a', polygon: SQUARE },
        { id: 'b', polygon: DIAGONAL },
      ],
    },
    `${key}[1].polygon: expected corners that are not all on one line: it has no area, so nothing is ever inside, received [[0.1,0.1],[0.2,0.2],[0.7,0.7]] (list)`,
  ]),
  [{ lines: [LINE, LINE] }, 'lines[1].id: expected an id that no other line has, received "l" (string)'],
  [
    {
      zones: [
        { id: 'a', polygon: SQUARE },
        { id: 'a', polygon: SQUARE },
      ],
    },
    'zones[1].id: expected an id that no other zone has, received "a" (string)',
  ],
  [
    { masks: [MASK], record: 'events' },
    'record: expected no recording of a stream with masks, which cannot hide anything in undecoded video, unless recordMasked is allowed, received "events" (string)',
  ],
  [
    {
      masks: [MASK],
      events: [
        { id: 'r', kind: 'picture' },
        { id: 's', kind: 'picture', clip: {} },
      ],
    },
    'events[1].clip: expected no clip of a stream with masks, which cannot hide anything in undecoded video, unless recordMasked is allowed, received {} (object)',
  ],
  [
    { masks: [MASK], restream: 'rtsp://bob:hunter2@10.0.0.1/door' },
    'restream: expected no restream of a stream with masks, which cannot hide anything in undecoded video, unless recordMasked is allowed, received "rtsp://***@10.0.0.1/door" (string)',
  ],
  [
    { restream: 'rtsp://bob:hunter2@h:99999/x' },
    'restream: expected a port from 1 to 65535 after h:, received "rtsp://***@h:99999/x" (string)',
  ],
  [{ restream: 'rtsp://' }, 'restream: expected a host after rtsp://, received "rtsp://" (string)'],
  [
    { restream: 'srt://127.0.0.1' },
    'restream: expected a port from 1 to 65535 after 127.0.0.1:, received "srt://127.0.0.1" (string)',
  ],
  [
    { restream: 'rtsp://bob:hunter 2@h/x' },
    'restream: expected an address without white space (%20 in a password), received "rtsp://***@h/x" (string)',
  ],
  [
    { restream: 'http://10.0.0.1/door' },
    'restream: expected an address that begins with rtsp://, rtsps://, rtmp://, rtmps:// or srt://, received "http://10.0.0.1/door" (string)',
  ],
  [{ masks: [MASK, MASK] }, 'masks[1].id: expected an id that no other mask has, received "m" (string)'],
  [{ region: 'zones' }, 'region: expected a rectangle, since the stream has no zones, received "zones" (string)'],
  [
    { maxFps: 0.3, track: { lostMs: 1000 } },
    'track.lostMs: expected at least 3334, the time between two frames at maxFps 0.3, received 1000 (number)',
  ],
];

const messageOf = async (run: () => unknown): Promise<string> => {
  try {
    await run();
    return 'accepted';
  } catch (error) {
    expect((error as SightlineError).code).toBe('CONFIG_INVALID');
    return (error as SightlineError).message;
  }
};

describe('settings that contradict each other', () => {
  const stream = { id: 'cam', source: 'rtsp://camera/1' };

  it.each(CONTRADICTIONS)('%j are refused with their place, wherever they come from', async (settings, complaint) => {
    const pipeline = {
      name: 'n',
      description: 'd',
      streams: [
        { id: 'a', source: 'a' },
        { ...stream, ...settings },
      ],
    };
    expect(await messageOf(() => parsePipeline(JSON.stringify(pipeline), 'p.yaml'))).toBe(
      `p.yaml: streams[1].${complaint}`,
    );
    const rules = new StreamRules({ defaults: {}, admit: () => undefined });
    expect(await messageOf(() => rules.added({ ...stream, ...settings }))).toBe(`stream: ${complaint}`);
    const current = parseStream(stream, {});
    expect(await messageOf(() => rules.changed(current, settings))).toBe(`stream "cam": ${complaint}`);
  });

  it('are refused across a change: the old value of one and the new value of the other', async () => {
    const rules = new StreamRules({ defaults: {}, admit: () => undefined });
    const current = parseStream({ ...stream, track: { lostMs: 1000 } }, {});
    expect(await messageOf(() => rules.changed(current, { maxFps: 0.5 }))).toBe(
      'stream "cam": track.lostMs: expected at least 2000, the time between two frames at maxFps 0.5, received 1000 (number)',
    );
  });

  it('a job is refused before it is queued, instead of failing after its inference', async () => {
    const control = openMemoryControlPlane({ leaseMs: 5_000 });
    const jobs = new JobOrders({ control, pipeline: 'p', admit: () => undefined });
    const request = { inputs: ['/a.mp4'], outDir: '/out', track: { highScore: 0.6, newScore: 0.5 } };
    expect(await messageOf(() => jobs.submit(request, 'job'))).toBe(
      'job: track.newScore: expected at least highScore, 0.6, received 0.5 (number)',
    );
    await control.close();
  });
});

describe('settings that fit together', () => {
  it.each([
    { track: { highScore: 0.6, newScore: 0.6 } },
    { track: { lowScore: 0.4 } },
    { maxFps: 5, target: { fps: 5 } },
    { maxFps: 0.1, track: true },
    { maxFps: 0.1, track: { lostMs: 10_000 } },
    { every: 1000, maxFps: 0.1, staleMs: 100 },
    { masks: [MASK], record: 'events', recordMasked: 'allowed' },
    { masks: [], record: 'continuous' },
    { masks: [MASK], restream: 'rtsp://10.0.0.1/door', recordMasked: 'allowed' },
    { restream: `\${env:MEDIA_SERVER}/door` },
  ])('%j are accepted', (settings) => {
    expect(() => parseStream({ id: 'cam', source: 'a', ...settings }, {})).not.toThrow();
  });
});

describe('a source whose secrets are hidden', () => {
  const rules = new StreamRules({
    defaults: {},
    admit: () => undefined,
    ofFile: (id) => (id === 'cam' ? parseStream({ id, source: 'rtsp://bob:hunter2@camera.example/1' }, {}) : undefined),
  });
  const other = parseStream({ id: 'cam', source: 'rtsp://other.example/1' }, {});

  it.each([
    'rtsp://***@camera.example/1',
    'rtsp://bob:hunter2@camera.example/1?token=***',
    'https://camera.example/***/live.m3u8',
    'https://camera.example/live;key=***/a',
    'https://camera.example/live#***',
  ])('is refused for a new stream, and for one that had it never: %s', async (source) => {
    const complaint = 'source: expected the address with its secrets, received one in which they are hidden (***)';
    expect(await messageOf(() => rules.added({ id: 'new', source }))).toBe(`stream "new": ${complaint}`);
    const hidden = 'rtsp://***@10.0.0.1/door';
    const ofServer = complaint.replace('source', 'restream');
    expect(await messageOf(() => rules.added({ id: 'new', source: 'a', restream: hidden }))).toBe(
      `stream "new": ${ofServer}`,
    );
    expect(await messageOf(() => rules.changed(other, { restream: hidden }))).toBe(`stream "cam": ${ofServer}`);
    const gate = { ...other, id: 'gate' };
    expect(await messageOf(() => rules.changed(gate, { source }))).toBe(`stream "gate": ${complaint}`);
    expect(await messageOf(() => rules.rewritten(gate, { source }))).toBe(`stream "gate": ${complaint}`);
  });

  it('means the one of the pipeline file where the stream has another now', async () => {
    const { source } = await rules.changed(other, { source: 'rtsp://***@camera.example/1' });
    expect(source).toBe('rtsp://bob:hunter2@camera.example/1');
  });

  it('is not a path with asterisks', async () => {
    expect((await rules.added({ id: 'new', source: '/videos/***.mp4' })).source).toBe('/videos/***.mp4');
  });
});

describe('settings that were read and are written back', () => {
  const SOURCE = 'rtsp://bob:hunter2@camera.example/1?token=abc';
  const SHOWN = redactSource(SOURCE);
  const current = parseStream({ id: 'cam', source: SOURCE, maxFps: 7, every: 2 }, { priority: 4 });
  const admitted: string[] = [];
  const rules = new StreamRules({ defaults: { priority: 4 }, admit: (address) => void admitted.push(address) });

  it('keep the source, whose secrets a client never sees', async () => {
    expect(SHOWN).not.toContain('hunter2');
    expect(await rules.changed(current, { ...current, source: SHOWN })).toEqual(current);
    expect(await rules.rewritten(current, { ...current, source: SHOWN })).toEqual(current);
    expect(admitted).toEqual([]);
  });

  it('with another source are checked as any', async () => {
    expect((await rules.changed(current, { source: 'rtsp://other.example/1' })).source).toBe('rtsp://other.example/1');
    expect(admitted).toEqual(['rtsp://other.example/1']);
    await rules.changed(current, { restream: 'rtsp://media.example/1' });
    expect(admitted.slice(1), 'its source runs already').toEqual(['rtsp://media.example/1']);
  });

  it('as a whole take away what they leave out, down to the defaults', async () => {
    const { maxFps: _, ...rest } = current;
    const rewritten = await rules.rewritten(current, { ...rest, source: SHOWN });
    expect(rewritten).toEqual(parseStream({ id: 'cam', source: SOURCE, every: 2 }, { priority: 4 }));
    expect(await rules.rewritten(current, { source: SHOWN })).toEqual(
      parseStream({ id: 'cam', source: SOURCE }, { priority: 4 }),
    );
  });

  it('as a whole need a source, and cannot take another id', async () => {
    expect(await messageOf(() => rules.rewritten(current, { maxFps: 3 }))).toMatch(/source: expected text/);
    expect(await messageOf(() => rules.rewritten(current, { id: 'b', source: SHOWN }))).toMatch(/expected the same id/);
  });
});
