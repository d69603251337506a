import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { Box, Detection } from '../../src/base/core/detection.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { modelPlaces } from '../support/model-places.ts';
import { sharedDir } from '../support/shared.ts';
import { StagedHost, writeClassifier } from '../support/staged-host.ts';

/** What a model says of a box, by Python and OpenCV. */
interface Expected {
  readonly vehicles: readonly { image: string; bbox: Box; type: [string, number]; colour: [string, number] }[];
  readonly persons: readonly { image: string; bbox: Box; first8: readonly number[] }[];
}

const tasks = join(sharedDir ?? '', 'tasks');
const folder = mkdtempSync(join(tmpdir(), 'sightline-readers-'));
let staged: StagedHost;
afterEach(() => staged?.close());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Pictures are no sources; FFV1 keeps their pixels as they are. */
function asVideo(path: string, i: number, filter = 'null'): string {
  const video = join(folder, `${i}.mkv`);
  const codec = ['-c:v', 'ffv1', '-pix_fmt', 'bgr0'];
  execFileSync(testFfmpeg.path, ['-loglevel', 'error', '-nostdin', '-y', '-i', path, '-vf', filter, ...codec, video]);
  return video;
}

function angled({ angle }: { readonly angle?: number }): Pick<Detection, 'angle'> {
  return angle === undefined ? {} : { angle };
}

/** Reads pictures as files of one frame with a box each. */
async function look(
  stage: object,
  pictures: readonly { readonly path: string; readonly box: Box; readonly angle?: number; readonly filter?: string }[],
): Promise<Detection[]> {
  const streams = pictures.map(({ path, filter }, i) => {
    const source = asVideo(path, i, filter);
    return { id: `p${i}`, source, policy: 'file', track: { minHits: 1 } };
  });
  const detect = ({ stream }: { readonly stream: string }): Detection[] => [
    {
      classId: 2,
      label: 'car',
      score: 0.9,
      box: pictures[Number(stream.slice(1))]!.box,
      ...angled(pictures[Number(stream.slice(1))]!),
    },
  ];
  staged = await StagedHost.open(modelPlaces.cacheDir, { stages: [stage], streams }, detect);
  await staged.host.start();
  await staged.settled(...streams.map(({ id }) => id));
  return streams.map(({ id }) => staged.of(id)[0]!.detections[0]!);
}

describe.skipIf(sharedDir === null)('networks of others as second stages (needs ../shared/tasks)', () => {
  const expected = (): Expected => JSON.parse(readFileSync(join(tasks, 'expected/crops.json'), 'utf8')) as Expected;
  const picture = (image: string): string => join(sharedDir!, 'coco-val-100/images', image);

  it('type and colour of vehicles as by the same network in Python', async () => {
    const name = writeClassifier(
      folder,
      'vehicle-attributes',
      ['car', 'bus', 'truck', 'van', 'white', 'gray', 'yellow', 'red', 'green', 'blue', 'black'],
      join(tasks, 'models/vehicle-attributes-recognition-barrier-0039.onnx'),
      { outputs: { type: 'type', color: 'color' }, input: { width: 72, height: 72, colours: 'bgr', range: [0, 255] } },
    );
    const { vehicles } = expected();
    const found = await look(
      { name: 'vehicle', model: { name, engine: 'onnx', scoreThreshold: 0 }, on: { minPixels: 1 } },
      vehicles.map(({ image, bbox }) => ({ path: picture(image), box: bbox })),
    );
    for (const [i, { type, colour, image }] of vehicles.entries()) {
      const { attributes } = found[i]!;
      for (const [name_, [label, score]] of [
        ['type', type],
        ['color', colour],
      ] as const) {
        // A score near one half may fall on either side with another decoder of JPEG.
        if (score > 0.6) expect([image, attributes?.[name_]?.label]).toEqual([image, label]);
        if (attributes?.[name_]?.label === label)
          expect(Math.abs(attributes[name_]!.score! - score), `${image} ${name_}`).toBeLessThan(0.15);
      }
    }
  });

  it('a line of text, and a number plate', async () => {
    const line = join(tasks, 'pictures/en_rec.jpg');
    const [text] = await look(
      {
        name: 'text',
        on: { minPixels: 1 },
        model: { name: join(tasks, 'models/ch_PP-OCRv4_rec_infer.onnx'), engine: 'onnx', inputSize: '1088x48' },
      },
      [{ path: line, box: [0, 0, 100_000, 100_000] }],
    );
    expect(text!.attributes?.text?.label).toBe(
      'To facilitate the shot type analysis in videos, we collect MovieShots, a large-scale',
    );
    await staged.close();
    const [plate] = await look(
      {
        name: 'plate',
        on: { minPixels: 1 },
        model: { name: join(tasks, 'models/cct_xs_v2_global.onnx'), engine: 'onnx' },
      },
      [{ path: join(tasks, 'pictures/fast_alpr_test_image.png'), box: [305, 189, 84, 22] }],
    );
    expect(plate!.attributes?.plate?.label).toBe('5AU5341');
  });

  it('a plate in a turned picture, once it is cut along its box', async () => {
    const path = join(tasks, 'pictures/fast_alpr_test_image.png');
    // The plate is put into the middle and turned there.
    const filter = 'crop=168:168:263:116,rotate=35*PI/180';
    const turned = { path, box: [42, 73, 84, 22] as Box, angle: 35, filter };
    const model = { name: join(tasks, 'models/cct_xs_v2_global.onnx'), engine: 'onnx' };
    const read = async (align: object) => {
      const [plate] = await look({ name: 'plate', on: { minPixels: 1, ...align }, model }, [turned]);
      await staged.close();
      return plate!.attributes?.plate?.label;
    };
    expect(await read({ align: 'box' })).toBe('5AU5341');
    expect(await read({})).not.toBe('5AU5341');
  });

  it('vectors of persons near those of the same network in Python, of unit length', async () => {
    const { persons } = expected();
    const found = await look(
      {
        name: 'like',
        on: { minPixels: 1 },
        model: { name: join(tasks, 'models/osnet_x0_25_msmt17.onnx'), family: 'embedding', engine: 'onnx' },
      },
      persons.map(({ image, bbox }) => ({ path: picture(image), box: bbox })),
    );
    for (const [i, { first8, image }] of persons.entries()) {
      const { vector = [] } = found[i]!.attributes!.like!;
      expect(vector).toHaveLength(512);
      expect(Math.hypot(...vector)).toBeCloseTo(1, 3);
      const off = first8.map((value, at) => Math.abs(value - vector[at]!));
      expect(Math.max(...off), image).toBeLessThan(0.02);
    }
  });
});
