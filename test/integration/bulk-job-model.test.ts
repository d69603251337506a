import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BulkRig } from '../support/bulk-rig.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { sharedDir } from '../support/shared.ts';

const MODEL = 'yolox-nano-480x256';

describe.skipIf(sharedDir === null)('jobs with a real model (needs shared models and videos)', () => {
  const temporary = temporaryFolder();
  const shared = realpathSync(sharedDir ?? '.');
  const modelPath = join(shared, 'models');
  const outDir = join(realpathSync(temporary.path), 'out');
  let rig: BulkRig;

  beforeAll(async () => {
    rig = await BulkRig.open({
      root: dirname(shared),
      model: { name: MODEL, engine: 'onnx' },
      modelPath: [modelPath],
      roots: [dirname(outDir)],
    });
  });

  afterAll(async () => {
    await rig?.close();
    temporary.remove();
  });

  // The first and the last have reordered pictures.
  it.each([
    { name: 'bikes.mp4', track: true, every: 1, segmentSeconds: 2, segments: 4 },
    { name: 'car-detection.mp4', track: true, every: 3, segmentSeconds: 5, segments: 5 },
    { name: 'vtest_h264.mp4', track: false, every: 3, segmentSeconds: 20, segments: 4 },
  ])(
    '$name, every $every, tracked: $track, equals the output of the command line',
    async ({ name, segments, ...settings }) => {
      const input = join(shared, 'videos', name);
      const order = rig.order(input, { ...settings, outDir });
      expect(await rig.run(order)).toBe(segments);
      const out = join(temporary.path, 'cli.jsonl');
      const args = [
        'detect',
        input,
        '--model',
        MODEL,
        '--engine',
        'onnx',
        '--out',
        out,
        '--every',
        `${settings.every}`,
      ];
      const env = { SIGHTLINE_MODEL_PATH: modelPath, FFMPEG_PATH: testFfmpeg.path };
      const { code, stderr } = await cli(settings.track ? [...args, '--track'] : args, env);
      expect(code, stderr).toBe(0);
      const written = rig.result(order);
      expect(written).toBe(readFileSync(out, 'utf8'));
      expect(written).toMatch(settings.track ? /"trackId":1\b/ : /"label":"person"/);
      expect(rig.notices).toEqual([]);
    },
  );
});
