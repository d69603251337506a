import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findOpenvino } from '../../src/network/store/openvino/openvino-place.ts';
import { type BenchContext, childEnvironment } from './bench-context.ts';
import { SIGHTLINE_ENTRY } from './rollout-planes.ts';

const BUDGET = '100s';
/** Levers that hardly ever fail the gate. */
const LEVERS = 'engine,precision,trackBetween';

/** Runs the command line to its end. @returns what it printed. */
export function sightline(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  return new Promise((resolve, reject) =>
    execFile(process.execPath, [SIGHTLINE_ENTRY, ...args], { env }, (error, stdout, stderr) => {
      // 3: done, but the machine was too busy or nothing was faster.
      if (error !== null && error.code !== 3) reject(new Error(`sightline ${args[0]}: ${stderr}`));
      else resolve(stdout);
    }),
  );
}

/**
 * Runs `sightline optimize` on a recording. On a machine that is busy nothing can be proven to be faster; then a faster
 * number format is written by hand, and nothing is predicted.
 *
 * @param model - settings of `model` that the streams have.
 * @returns the path of best.yaml.
 */
export async function optimisedPipeline(
  context: BenchContext,
  folder: string,
  clip: string,
  model: Readonly<Record<string, unknown>>,
  notes: string[],
): Promise<string> {
  const report = join(folder, 'report');
  const pipeline = { name: 'people', description: 'One recording.', model, lanes: 1 };
  const path = join(folder, 'recording.yaml');
  await writeFile(path, JSON.stringify({ ...pipeline, streams: [{ id: 'street', source: clip }] }));
  const flags = ['--levers', LEVERS, '--budget', BUDGET, '--report', report];
  await sightline(['optimize', path, ...flags], childEnvironment(context));
  const { speedup } = JSON.parse(await readFile(join(report, 'result.json'), 'utf8')) as { readonly speedup: unknown };
  if (speedup !== null) return join(report, 'best.yaml');
  notes.push(
    'optimize could not prove a gain on this busy machine; best.yaml was written by hand, so nothing is predicted',
  );
  const byHand = join(folder, 'by-hand');
  await mkdir(byHand, { recursive: true });
  const faster =
    findOpenvino(context.environment) === null
      ? { model, defaults: { skip: { trackBetween: 2 } } }
      : { model: { ...model, engine: 'openvino', precision: 'bf16' } };
  const best = join(byHand, 'best.yaml');
  await writeFile(best, JSON.stringify({ ...pipeline, ...faster, streams: [{ id: 'street', source: clip }] }));
  return best;
}
