import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, it } from 'vitest';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { guardsConfig } from '../../src/fleet/control/rollout/guards/guards.ts';
import { EntryReader } from '../../src/fleet/control/store/entry-reader.ts';
import { FleetSigner } from '../../src/fleet/control/store/fleet-signer.ts';
import { FfmpegLog } from '../../src/frame/decode/ffmpeg-log.ts';
import { readAnnotations, readResults } from '../../src/network/evaluate/coco-files.ts';
import { loadManifest } from '../../src/network/store/manifests.ts';
import { overlaid } from '../../src/serve/host/overlay/overlay.ts';
import { overlayPath, readOverlay } from '../../src/serve/host/overlay/overlay-file.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { check } from '../../src/settings/config/check.ts';
import { parseYaml } from '../../src/settings/config/parse-yaml.ts';
import { streamOrder } from '../../src/wire/protocol/fleet.ts';
import { rollout } from '../../src/wire/protocol/rollout-records.ts';
import { order } from '../conformance/control-plane-rigs.ts';

/** More of them with FOREIGN_RUNS=10000; fast-check prints the seed of a failure. */
const numRuns = Number(process.env.FOREIGN_RUNS ?? 200);
const folder = mkdtempSync(join(tmpdir(), 'sightline-bytes-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Changes of bytes: some replaced, some left out, some repeated, the end cut off. */
const changes = fc.record({
  at: fc.array(fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(255)), { maxLength: 6 }),
  cut: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
  doubled: fc.option(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(400))),
});

type Changes = typeof changes extends fc.Arbitrary<infer T> ? T : never;

function changed(seed: Buffer, { at, cut, doubled }: Changes): Buffer {
  let bytes = Buffer.from(seed);
  for (const [place, value] of at) if (bytes.length > 0) bytes[Math.floor(place * bytes.length)] = value;
  if (doubled !== null) {
    const from = Math.floor(doubled[0] * bytes.length);
    bytes = Buffer.concat([bytes.subarray(0, from + doubled[1]), bytes.subarray(from)]);
  }
  return cut === null ? bytes : bytes.subarray(0, Math.floor(cut * bytes.length));
}

/** Reads a file that holds these bytes. */
function fromFile(name: string, read: (path: string) => Promise<unknown>): (bytes: Buffer) => Promise<unknown> {
  const path = join(folder, name);
  return async (bytes) => {
    writeFileSync(path, bytes);
    return read(path);
  };
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const annotations = {
  images: [{ id: 1, file_name: 'a.jpg', width: 640, height: 480 }],
  categories: [{ id: 1, name: 'person' }],
  annotations: [{ id: 1, image_id: 1, category_id: 1, bbox: [1, 2, 30, 40], area: 1200, iscrowd: 0 }],
};
const shipped = (path: string): Buffer[] =>
  readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => readFileSync(join(path, name)));

/** What REST changed of a pipeline, laid over its file. */
const OVERLAY_PLACE = { pipeline: 'day', pipelinePath: '/etc/day.yaml', cacheDir: folder };
const overlay = {
  version: 1,
  pipeline: 'day',
  path: '/etc/day.yaml',
  streams: {
    door: { changed: { maxFps: { file: 15, now: 7 } } },
    gate: { added: { source: 'rtsp://camera.example/1', every: 2 }, isPaused: true },
    yard: { isRemoved: true },
  },
};
async function readOverlaid(bytes: Buffer): Promise<unknown> {
  const path = overlayPath(OVERLAY_PLACE);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  const streams = [
    { id: 'door', source: 'demo', maxFps: 15 },
    { id: 'yard', source: 'demo' },
  ];
  const file = parsePipeline(JSON.stringify({ name: 'day', description: 'Cameras.', streams }), 'p.yaml');
  return overlaid(file, await readOverlay(OVERLAY_PLACE));
}

const READERS: readonly [string, readonly Buffer[], (bytes: Buffer) => Promise<unknown>][] = [
  ['a manifest', shipped('models'), fromFile('a.yaml', (path) => loadManifest(path))],
  ['a pipeline', shipped('pipelines'), async (bytes) => parsePipeline(bytes.toString(), 'p.yaml')],
  ['an overlay', [json(overlay)], readOverlaid],
  [
    'guards',
    [Buffer.from('p99: { worseBy: 0.1 }\nerrors: {}\n')],
    async (bytes) => check(guardsConfig, parseYaml(bytes.toString()).value, 'guards.yaml'),
  ],
  ['annotations', [json(annotations)], fromFile('annotations.json', readAnnotations)],
  [
    'results',
    [json([{ image_id: 1, category_id: 1, bbox: [1, 2, 3, 4], score: 0.5 }])],
    fromFile('results.json', readResults),
  ],
];

describe('bytes that somebody else wrote are read, or refused with a code', () => {
  it.each(READERS)('%s', async (_, seeds, read) => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...seeds), changes, async (seed, how) => {
        try {
          await read(changed(seed, how));
        } catch (error) {
          if (!(error instanceof SightlineError) || error.code === 'INTERNAL_ERROR') throw error;
        }
      }),
      { numRuns },
    );
  });

  it('a record in Redis: read, or skipped and counted; never an exception', () => {
    const signer = new FleetSigner('k'.repeat(32), '{sightline}');
    const signed = json(signer.sign('order:door', order('door')));
    const reader = new EntryReader(undefined, signer);
    fc.assert(
      fc.property(changes, (how) => {
        const text = changed(signed, how).toString();
        const place = { place: 'order:door' };
        const isWhole = text === signed.toString();
        const read = reader.read(streamOrder, text, 'order', place);
        if (read !== null && !isWhole) {
          // The same record, written differently: with more white space, or a key twice.
          if (signer.check('order:door', JSON.parse(text)) === 'invalid') throw new Error(`accepted: ${text}`);
        }
        reader.read(rollout, text, 'roll-out', null);
      }),
      { numRuns },
    );
  });

  it('the log of ffmpeg: no exception, and no frame without the secret name', () => {
    const tag = 'f'.repeat(32);
    const line = `[showinfo@${tag} @ 0x55] [info] n:   0 pts:   2000 pts_time:0.08 pos: 27571 fmt:yuv420p sar:4/3 s:432x768 i:P`;
    const others = [
      '[info]   Duration: 00:00:10.00, start: 0',
      '[error] Invalid data found',
      line.replace(tag, 'e'.repeat(32)),
    ];
    fc.assert(
      fc.property(fc.constantFrom(line, ...others), changes, (seed, how) => {
        const log = new FfmpegLog('file:/a.mp4', tag);
        log.read(`[showinfo@${tag} @ 0x55] [info] config in time_base: 1/25000, frame_rate: 25/2`);
        const text = changed(Buffer.from(seed), how).toString('latin1');
        const event = log.read(text);
        if (event?.kind === 'frame' && !text.includes(tag)) throw new Error(`a frame of: ${text}`);
        if (event?.kind === 'frame') {
          const { ptsUs, width, height } = event.frame;
          if (![ptsUs, width, height].every(Number.isSafeInteger) || width < 1 || height < 1)
            throw new Error(`${JSON.stringify(event)} of: ${text}`);
        }
      }),
      { numRuns: 5 * numRuns },
    );
  });
});
