import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';

/**
 * Optimises the pipeline that most people begin with, or a recording with the defaults and other detectors only, once for each seed, and prints
 * what each run has proven and what is faster if people accept it:
 *
 *     npm run bench:optimize -- [--case naive|default] [--runs 5] [--budget 15m] [--out DIR]
 *
 * It needs labelled pictures (coco-val-100), others for calibration (calibration-60) and clips: SIGHTLINE_SHARED names their folder, by
 * default ../shared. Use a quiet machine.
 */
const { values: flags } = parseArgs({
  options: {
    case: { type: 'string', default: 'naive' },
    runs: { type: 'string', default: '5' },
    budget: { type: 'string' },
    out: { type: 'string', default: 'bench/results/optimize' },
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
mkdirSync(flags.out, { recursive: true });
const isNaive = flags.case === 'naive';
if (!isNaive && flags.case !== 'default') stop(`--case: expected naive or default, received "${flags.case}"`);
const pipeline = join(flags.out, 'naive.yaml');
if (isNaive) writeFileSync(pipeline, stringify(NAIVE));
const subject = isNaive ? [pipeline, '--calibration', calibration] : [clip, '--levers', 'model'];
const modelPath = [process.env.SIGHTLINE_MODEL_PATH, join(shared, 'models')].filter(Boolean).join(delimiter);

const rows: string[] = [];
for (let seed = 1; seed <= Number(flags.runs); seed++) {
  const report = join(flags.out, `${flags.case}-${seed}`);
  const args = [
    ...['dist/workers/sightline.process.js', 'optimize', ...subject, '--report', report, '--seed', String(seed)],
    ...['--annotations', join(labels, 'instances.json'), '--images', join(labels, 'images'), '--max-loss', '0.02'],
    ...['--budget', flags.budget ?? (isNaive ? '15m' : '6m')],
  ];
  const child = spawn(process.execPath, args, {
    stdio: 'inherit',
    env: { ...process.env, SIGHTLINE_MODEL_PATH: modelPath },
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0 && code !== 3) stop(`the run with seed ${seed} ended with ${code}`);
  rows.push(rowOf(seed, JSON.parse(readFileSync(join(report, 'result.json'), 'utf8'))));
}
console.log(`\n${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, ${flags.case} case`);
console.log(rows.join('\n'));

interface Result {
  readonly outcome: string;
  readonly speedup: Gain | null;
  readonly faster: {
    readonly speedup: Gain;
    readonly ap: number | null;
    readonly differences: readonly object[];
  } | null;
}

interface Gain {
  readonly ratio: number;
  readonly interval: readonly [number, number];
}

function rowOf(seed: number, { outcome, speedup, faster }: Result): string {
  const text = ({ ratio, interval: [low, high] }: Gain): string =>
    `${ratio.toFixed(2)} times (${low.toFixed(2)} to ${high.toFixed(2)})`;
  const proven = outcome === 'faster' && speedup !== null ? text(speedup) : `nothing (${outcome})`;
  const other =
    faster === null
      ? 'nothing'
      : `${text(faster.speedup)}, AP ${faster.ap?.toFixed(3) ?? 'unknown'}, ${faster.differences.length} differences`;
  return `seed ${seed}: proven ${proven}; faster ${other}`;
}

function stop(why: string): never {
  console.error(why);
  process.exit(2);
}
