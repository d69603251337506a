import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { CompiledModel } from '../../../base/core/model.ts';
import { checkArtefact, recordHash } from '../../../base/disk/artefact-hash.ts';
import { writeWholeFile } from '../../../base/disk/replace-file.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { readOnnxFacts } from '../../infer/onnx-facts.ts';

/** Part of every name: raise it whenever a quantised file of an older version must not be used any more. */
const QUANTISER_VERSION = 1;

/** Where the INT8 form of a compiled f32 model lies, beside it. */
export function quantisedPath({ path, hash }: CompiledModel): string {
  const name = createHash('sha256').update(`${hash} int8 ${QUANTISER_VERSION}`).digest('hex').slice(0, 16);
  return path.replace(/-f32-[0-9a-f]+\.onnx$/, `-int8-${name}.onnx`);
}

/** The report of quantisation, beside the file. */
export function quantisedReportPath(path: string): string {
  return path.replace(/\.onnx$/, '.json');
}

/**
 * Finds the file to be computed in INT8: the model's own where its publisher quantised it, else what `models compile
 * --precision int8` made of it.
 *
 * @throws ENGINE_UNAVAILABLE with that command where there is none; MODEL_INTEGRITY if it has changed since it was made.
 */
export async function quantisedModel(compiled: CompiledModel, engine: string, name: string): Promise<CompiledModel> {
  if (readOnnxFacts(compiled.path).isQuantised) return compiled;
  const path = quantisedPath(compiled);
  // Another calibration gives another file, for which earlier measurements do not hold.
  const { state, sha256: hash } = await checkArtefact(path);
  const { width, height } = compiled.spec.input;
  const command = `sightline models compile ${name} --engine ${engine} --precision int8 --calibration DIR (pictures, or a video, like those that the detector will see)`;
  if (state === 'missing')
    throw new SightlineError(
      'ENGINE_UNAVAILABLE',
      `No INT8 version of ${compiled.spec.name} for ${engine} at ${width}x${height}. Create one with: ${command}`,
      { precision: 'int8' },
    );
  if (state !== 'intact')
    throw new SightlineError(
      'MODEL_INTEGRITY',
      `${path}: the INT8 form of ${compiled.spec.name} ${state === 'damaged' ? 'has changed on the disk' : 'has no recorded hash'}; it is not used. Make it again with: ${command}`,
      { path },
    );
  return { ...compiled, path, hash, files: [{ path, sha256: hash }] };
}

/** Writes a quantised file and what is known of it. A reader sees the old file or the new one, whole. */
export async function keepQuantised(compiled: CompiledModel, bytes: Uint8Array, report: object): Promise<string> {
  const path = quantisedPath(compiled);
  await mkdir(dirname(path), { recursive: true });
  await writeWholeFile(quantisedReportPath(path), `${JSON.stringify(report, null, 2)}\n`);
  await recordHash(path, createHash('sha256').update(bytes).digest('hex'));
  await writeWholeFile(path, bytes);
  return path;
}
