import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { History } from '../../src/after/history/history.ts';
import type { Box } from '../../src/base/core/detection.ts';
import type { FakeDetect } from '../../src/frame/runtime/stream/stream-port.ts';
import type { SimilarReply } from '../../src/wire/protocol/rest.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { modelPlaces } from '../support/model-places.ts';
import { sharedDir } from '../support/shared.ts';
import { StagedHost } from '../support/staged-host.ts';

const tasks = join(sharedDir ?? '', 'tasks');
const like = {
  name: 'like',
  on: { labels: ['person'], minPixels: 1 },
  per: 'bestOfTrack',
  model: { name: join(tasks, 'models/osnet_x0_25_msmt17.onnx'), family: 'embedding', engine: 'onnx' },
};
const folder = mkdtempSync(join(tmpdir(), 'sightline-similar-'));
let staged: StagedHost;
let history: History;
afterEach(async () => {
  await staged?.close();
  await history?.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** @param span - where it is read from, and for how long. */
function video(name: string, path: string, codec: readonly string[], span: readonly string[] = []): string {
  const made = join(folder, name);
  execFileSync(testFfmpeg.path, ['-loglevel', 'error', '-nostdin', '-y', ...span, '-i', path, ...codec, made]);
  return made;
}

/** Reads the streams to their ends, as a host does whose history keeps embeddings. */
async function watch(streams: readonly object[], given: object, detect?: FakeDetect): Promise<void> {
  const embeddingsMs = 3_600_000;
  history = await History.open({ path: null, maxBytes: 2 ** 24, days: 1, embeddingsMs, onNotice: console.warn });
  const policy = { policy: 'file', track: { minHits: 1 } };
  const parts = { stages: [like], streams: streams.map((each) => ({ ...policy, ...each })), ...given };
  staged = await StagedHost.open(modelPlaces.cacheDir, parts, detect);
  staged.host.onPublished((frame) => history.observe(frame));
  await staged.host.start();
  await staged.settled(...(streams as { readonly id: string }[]).map(({ id }) => id));
}

/** Asks about the object of a stream that was seen in most frames. */
function similar(id: string): Promise<SimilarReply> {
  const frames = new Map<number, number>();
  for (const { detections } of staged.of(id))
    for (const { attributes, trackId } of detections)
      if (attributes?.like !== undefined) frames.set(trackId!, (frames.get(trackId!) ?? 0) + 1);
  const [longest] = [...frames].toSorted((a, b) => b[1] - a[1]);
  return history.similar({ stream: id, trackId: longest![0], limit: 100, min: -1 });
}

const title = (claim: string): string => `${claim} (needs ../shared)`;

it.skipIf(sharedDir === null)(title('persons are as similar as by the same network in Python'), async () => {
  const { persons, personCosines } = JSON.parse(readFileSync(join(tasks, 'expected/crops.json'), 'utf8')) as {
    readonly persons: readonly { image: string; bbox: Box }[];
    readonly personCosines: readonly (readonly number[])[];
  };
  // Pictures are no sources; FFV1 keeps their pixels as they are.
  const path = (image: string): string => join(sharedDir!, 'coco-val-100/images', image);
  const streams = persons.map(({ image }, i) => ({
    id: `p${i}`,
    source: video(`${i}.mkv`, path(image), ['-c:v', 'ffv1', '-pix_fmt', 'bgr0']),
  }));
  await watch(streams, {}, ({ stream }) => [
    { classId: 0, label: 'person', score: 0.9, box: persons[Number(stream.slice(1))]!.bbox },
  ]);
  for (const [i, expected] of personCosines.entries()) {
    const { objects } = await similar(`p${i}`);
    expect(objects).toHaveLength(persons.length - 1);
    for (const { stream, similarity } of objects)
      expect(Math.abs(similarity - expected[Number(stream.slice(1))]!), `p${i} ${stream}`).toBeLessThan(0.05);
    // The nearest, unless it is by a hair.
    const [first, second] = expected.toSorted((a, b) => b - a).slice(1);
    if (first! - second! > 0.05) expect(objects[0]!.stream).toBe(`p${expected.indexOf(first!)}`);
  }
});

it.skipIf(sharedDir === null)(title('a person is found in another stream, before other persons'), async () => {
  // One person after another walks through; each of these shows one of them.
  const clip = join(sharedDir!, 'videos/one-by-one-person-detection.mp4');
  const part = (id: string, fromS: number): object => ({
    id,
    source: video(`${id}.mp4`, clip, ['-c:v', 'libx264'], ['-ss', String(fromS), '-t', '2']),
  });
  const streams = [
    ...[part('first', 8), part('first-later', 15), part('second', 27), part('third', 54), part('fourth', 97)],
  ];
  await watch(streams, { model: { name: 'yolox-nano', engine: 'onnx', threads: 1 } });
  const { of, objects } = await similar('first');
  expect(of).toMatchObject({ stream: 'first', label: 'person' });
  expect(new Set(objects.map(({ stream }) => stream)).size).toBe(4);
  expect(objects[0]!.stream).toBe('first-later');
});
