import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import { Sightline } from '../../src/index.ts';

/** Names another Python, such as that of a virtual environment. */
const PYTHON = process.env.TRITON_PYTHON ?? 'python3';
const isThere = spawnSync(PYTHON, ['-c', 'import tritonclient.http']).status === 0;
const title = 'gets from KServe v2 what engine.detect gives';
if (!isThere) console.warn(`skipped: tritonclient ${title}; ${PYTHON} lacks it (pip install "tritonclient[http]")`);

const SCRIPT = `
import json, sys, numpy as np, tritonclient.http as triton
url, raw, width, height, jpeg = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
client = triton.InferenceServerClient(url)
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("library")
def boxes(result):
    labels = [label if isinstance(label, str) else label.decode() for label in result.as_numpy("labels")]
    return [result.as_numpy("boxes").tolist(), result.as_numpy("scores").tolist(), result.as_numpy("class_ids").tolist(), labels]
pixels = np.fromfile(raw, np.uint8).reshape(height, width, 3)
answers = []
for is_binary in (True, False):
    image = triton.InferInput("image", pixels.shape, "UINT8")
    image.set_data_from_numpy(pixels, binary_data=is_binary)
    outputs = [triton.InferRequestedOutput(name, binary_data=is_binary) for name in ("boxes", "scores", "class_ids", "labels")]
    answers.append(boxes(client.infer("library", [image], outputs=outputs, timeout=30000000)))
answers.append(boxes(client.infer("library", [image])))
encoded = triton.InferInput("encoded", [1], "BYTES")
encoded.set_data_from_numpy(np.array([open(jpeg, "rb").read()], dtype=np.object_))
answers.append(boxes(client.infer("library", [encoded], model_version="1")))
try:
    client.infer("library", [image], model_version="7")
    answers.append("no error")
except triton.InferenceServerException as error:
    answers.append(str(error))
print(json.dumps([client.get_model_metadata("library")["versions"]] + answers))
`;

describe('tritonclient', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sightline-triton-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it.skipIf(!isThere)(
    title,
    async () => {
      await using engine = await Sightline.open({
        name: 'library',
        model: {
          engine: 'fake',
          inputSize: '160x96',
          fake: { callMs: 1, rows: [10, 20, 30, 40, 0.5, 2, 1, 2, 3, 4, 0.75, 0] },
        },
        cacheDir: folder,
      });
      const size = { width: 90, height: 60 };
      const pixels = Buffer.from(Array.from({ length: size.width * size.height * 3 }, (_, i) => (i * 31) % 256));
      const jpeg = await sharp(pixels, { raw: { ...size, channels: 3 } })
        .jpeg()
        .toBuffer();
      const [raw, file] = [join(folder, 'pixels'), join(folder, 'a.jpg')];
      writeFileSync(raw, pixels);
      writeFileSync(file, jpeg);
      const { url } = await engine.serve({ port: 0 });
      const address = new URL(url).host;
      const asked = [address, raw, String(size.width), String(size.height), file];
      const { stdout } = await promisify(execFile)(PYTHON, ['-c', SCRIPT, ...asked]);
      const [versions, ...answers] = JSON.parse(stdout);
      expect(versions).toEqual(['1']);
      const error = answers.pop();
      expect(error).toContain('MODEL_NOT_FOUND');
      const single = (value: number): number => Math.fround(value);
      const wanted = async (given: Parameters<Sightline['detect']>[0]) => {
        const { detections } = await engine.detect(given);
        expect(detections.length).toBe(2);
        return {
          boxes: detections.map(({ box }) => box.map(single)),
          scores: detections.map(({ score }) => single(score)),
          rest: [detections.map(({ classId }) => classId), detections.map(({ label }) => label)],
        };
      };
      const ofPixels = await wanted({ data: pixels, ...size });
      const all = [ofPixels, ofPixels, ofPixels, await wanted(jpeg)];
      for (const [i, [boxes, scores, ...rest]] of answers.entries())
        expect({ boxes: boxes.map((box: number[]) => box.map(single)), scores: scores.map(single), rest }).toEqual(
          all[i],
        );
    },
    120_000,
  );
});
