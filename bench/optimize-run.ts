import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';

/**
 * Optimises the pipeline that most people begin with, and writes the report to docs/optimize:
 *
 *     npm run bench:optimize -- [--budget 20m] [--out docs/optimize] [--resume]
 *
 * It needs labelled pictures (coco-val-100), others for calibration (calibration-60) and clips: SIGHTLINE_SHARED names their folder, by
 * default ../shared. Use a quiet machine.
 */
const { values: flags } = parseArgs({
  options: {
    budget: { type: 'string', default: '20m' },
    out: { type: 'string', default: 'docs/optimize' },
    resume: { type: 'boolean', default: false },
  },
});
const shared = process.env.SIGHTLINE_SHARED ?? '../shared';
const clip = join(shared, 'videos', 'pedestrians.mp4');
const labels = join(shared, 'coco-val-100');
const calibration = join(shared, 'calibration-60');
for (const path of [clip, labels, calibration])
  if (!existsSync(path)) stop(`${path} does not exist; SIGHTLINE_SHARED names its folder`);

/** One stream, the default detector as it comes, one thread for each thing, and no batches. */
const NAIVE = {
  name: 'naive',
  description: 'The pipeline that most people begin with: one stream, one thread for each thing, full pictures.',
  model: { name: 'centernet', engine: 'onnx', precision: 'f32', inputSize: '512x512', threads: 1 },
  batch: { maxBatch: 1 },
  lanes: 1,
  streams: [{ id: 'street', source: clip, resizeBy: 'sharp' }],
};
const pipeline = join(flags.out, 'naive.yaml');
mkdirSync(flags.out, { recursive: true });
writeFileSync(pipeline, stringify(NAIVE));
const args = [
  ...['dist/workers/sightline.process.js', 'optimize', pipeline, '--report', flags.out, '--budget', flags.budget],
  ...['--annotations', join(labels, 'instances.json'), '--images', join(labels, 'images'), '--max-loss', '0.02'],
  ...['--calibration', calibration, '--target', 'fps>=30,p99<=100ms', '--host-price', '60 EUR'],
  ...(flags.resume ? ['--resume'] : []),
];
const modelPath = [process.env.SIGHTLINE_MODEL_PATH, join(shared, 'models')].filter(Boolean).join(delimiter);
const child = spawn(process.execPath, args, {
  stdio: 'inherit',
  env: { ...process.env, SIGHTLINE_MODEL_PATH: modelPath },
});
child.once('exit', (code) => {
  process.exitCode = code ?? 1;
});

function stop(why: string): never {
  console.error(why);
  process.exit(2);
}
