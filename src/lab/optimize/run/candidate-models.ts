import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { glob } from 'tinyglobby';
import { taskOf } from '../../../base/core/model.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { loadDetector, manifestFolders } from '../../../frame/runtime/model/load-detector.ts';
import { prepareModel } from '../../../frame/runtime/model/prepare-model.ts';
import { takesAnySize } from '../../../network/compile/network-input.ts';
import { findWeights } from '../../../network/store/find-weights.ts';
import { listManifests, listUserManifests, type Manifest } from '../../../network/store/manifests.ts';
import type { Environment } from '../../../settings/config/environment.ts';
import { parseInputSize } from '../../../settings/config/model-config.ts';
import type { CandidateModel, EngineFormat } from '../levers/levers.ts';

export interface CandidateOptions {
  readonly environment: Environment;
  /** Name or path of the pipeline's own detector; it is always among the candidates. */
  readonly own: string;
  /** Folder with further ONNX files or manifests; null if there is none. */
  readonly folder: string | null;
  /** Engines that compute INT8. */
  readonly int8Engines: readonly EngineFormat['engine'][];
  readonly note: (text: string) => void;
}

interface Named {
  readonly name: string;
  readonly manifest: Manifest;
}

/**
 * Lists the detectors that could take the place of the pipeline's own: those of the same task and classes whose weights are on this
 * machine, from the store, the user's manifests and a folder. Nothing is downloaded.
 *
 * @throws what `loadDetector` throws for the pipeline's own detector; COMMAND_INVALID if the folder holds no detector.
 */
export async function candidateModels(options: CandidateOptions): Promise<CandidateModel[]> {
  const { environment, own, note } = options;
  const ownManifest = await loadDetector(own, places(environment));
  const folders = manifestFolders(places(environment));
  const known = [...(await listManifests()), ...(await listUserManifests(folders, note))];
  const named: Named[] = [
    { name: own, manifest: ownManifest },
    ...known.map((manifest) => ({ name: manifest.name, manifest })),
    ...(options.folder === null ? [] : await detectorsIn(options.folder, environment, note)),
  ];
  const candidates: CandidateModel[] = [];
  for (const { name, manifest } of named) {
    const isKnown = candidates.some((candidate) => candidate.name === name);
    const isSame = manifest.name === ownManifest.name && name !== own;
    if (isKnown || isSame || !findsTheSame(manifest, ownManifest)) continue;
    if (await hasWeights(manifest, environment)) candidates.push(await candidateOf(name, manifest, options));
  }
  return candidates;
}

async function candidateOf(name: string, manifest: Manifest, options: CandidateOptions): Promise<CandidateModel> {
  const { width, height } = manifest.input;
  const inputSize = `${width}x${height}`;
  return {
    name,
    inputSize,
    anySize: takesAnySize(manifest.family, manifest.input),
    reportedAp: manifest.reported?.ap ?? null,
    extraFormats: await quantisedFormats(name, inputSize, options),
  };
}

/** INT8 formats for which `models compile` has made a file. */
async function quantisedFormats(
  name: string,
  inputSize: string,
  { environment, int8Engines, note }: CandidateOptions,
): Promise<EngineFormat[]> {
  const found: EngineFormat[] = [];
  for (const engine of int8Engines) {
    try {
      const size = parseInputSize(inputSize);
      const { modelPath: searchPath, cacheDir } = environment;
      const request = { engine, precision: 'int8', inputSize: size, searchPath, cacheDir, onNotice: note } as const;
      await prepareModel(name, { ...request, mayFetch: false });
      found.push({ engine, precision: 'int8' });
    } catch (error) {
      // No quantised file, or a network that the compiler does not take: it has no INT8.
      if (!(error instanceof SightlineError)) throw error;
    }
  }
  return found;
}

async function detectorsIn(folder: string, environment: Environment, note: (text: string) => void): Promise<Named[]> {
  const of = async (pattern: string): Promise<string[]> =>
    (await glob(pattern, { cwd: folder, onlyFiles: true }).catch(() => [])).sort();
  const found: Named[] = [];
  // Manifests first: the weights of one that can be used are no detector of their own.
  for (const path of [...(await of('*.yaml')), ...(await of('*.onnx'))].map((name) => join(folder, name))) {
    if (found.some(({ manifest }) => manifest.files.some(({ name }) => name === basename(path)))) continue;
    try {
      found.push({ name: path, manifest: await loadDetector(path, places(environment)) });
    } catch (error) {
      if (!(error instanceof SightlineError)) throw error;
      note(`${path} is not tried: ${error.message}`);
    }
  }
  if (found.length > 0) return found;
  const what = existsSync(folder) ? 'found none that can be used' : 'there is no such folder';
  throw new SightlineError(
    'COMMAND_INVALID',
    `--candidates ${folder}: expected a folder with ONNX files or manifests, ${what}`,
  );
}

async function hasWeights(manifest: Manifest, { modelPath, cacheDir }: Environment): Promise<boolean> {
  try {
    await findWeights(manifest, { searchPath: modelPath, cacheDir, onNotice: () => undefined, mayFetch: false });
    return true;
  } catch (error) {
    if (error instanceof SightlineError) return false;
    throw error;
  }
}

function findsTheSame(a: Manifest, b: Manifest): boolean {
  return (
    taskOf(a.family) === taskOf(b.family) &&
    a.classes.length === b.classes.length &&
    a.classes.every((label, i) => label === b.classes[i])
  );
}

function places({ modelPath, cacheDir }: Environment): { searchPath: readonly string[]; cacheDir: string } {
  return { searchPath: modelPath, cacheDir };
}
