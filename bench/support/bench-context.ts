import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import type { ComputePrecision } from '../../src/base/core/model.ts';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { type FfmpegBinary, findFfmpeg } from '../../src/frame/decode/ffmpeg-binary.ts';
import { prepareModel } from '../../src/frame/runtime/model/prepare-model.ts';
import { findWeights } from '../../src/network/store/find-weights.ts';
import { loadManifest } from '../../src/network/store/manifests.ts';
import { demoClip } from '../../src/network/store/package-root.ts';
import type { Environment } from '../../src/settings/config/environment.ts';
import { type Clip, describeClip } from './clip.ts';

/** The detector whose weights can always be fetched, and the fast one, used if its weights are on this machine. */
export const SLOW_MODEL = 'centernet';
export const FAST_MODEL = 'yolox-nano-480x256';

export interface BenchFlags {
  /** Length of each measurement. */
  readonly seconds: number;
  /** Shorter and fewer runs: checks that everything works; its figures must not be quoted. */
  readonly isQuick: boolean;
  /** Parts of the names of the cases to run, in sections that have cases; absent: all. */
  readonly cases?: readonly string[];
}

/** Returns the cases of a section that the flags ask for. */
export function chosenCases<T extends { readonly name: string }>(all: readonly T[], { cases }: BenchFlags): T[] {
  return all.filter(({ name }) => cases === undefined || cases.some((part) => name.includes(part.trim())));
}

/** The context of every section. */
export interface BenchContext extends BenchFlags {
  readonly environment: Environment;
  /** Folder with models, clips and COCO pictures; it may be absent. */
  readonly sharedDir: string;
  readonly ffmpeg: FfmpegBinary;
  readonly clip: Clip;
  /** `FAST_MODEL` if its weights are found, else `SLOW_MODEL`. */
  readonly model: string;
  /** Excluded from the measurement at the start of each run. */
  readonly warmUpSeconds: number;
  /** Frames per second of the clip read as a file, by model; measured on first use. */
  readonly capacities: Map<string, number>;
  note(text: string): void;
}

/** Warm-up until the hot paths are compiled: after two seconds the threads still spend a twentieth of their time compiling. */
const WARM_UP_SECONDS = 5;

/** Reads the environment, and chooses clip and model. @throws FFMPEG_MISSING, MODEL_WEIGHTS_MISSING, SOURCE_* */
export async function openContext(flags: BenchFlags, env: NodeJS.ProcessEnv): Promise<BenchContext> {
  const note = (text: string): void => console.error(text);
  const sharedDir = resolve(env.SIGHTLINE_SHARED ?? '../shared');
  const environment = readEnvironment(env, sharedDir);
  const ffmpeg = await findFfmpeg({ path: environment.ffmpegPath, searchPath: environment.searchPath });
  const pedestrians = join(sharedDir, 'videos', 'pedestrians.mp4');
  const path = existsSync(pedestrians) ? pedestrians : demoClip();
  const model = (await hasWeights(FAST_MODEL, environment)) ? FAST_MODEL : SLOW_MODEL;
  if (model !== FAST_MODEL) note(`the weights of ${FAST_MODEL} are not on this machine; measuring ${SLOW_MODEL}`);
  return {
    ...flags,
    environment,
    sharedDir,
    ffmpeg,
    clip: await describeClip(ffmpeg, path),
    model,
    warmUpSeconds: WARM_UP_SECONDS,
    capacities: new Map(),
    note,
  };
}

function readEnvironment(env: NodeJS.ProcessEnv, sharedDir: string): Environment {
  const cacheHome =
    env.XDG_CACHE_HOME === undefined || env.XDG_CACHE_HOME === '' ? join(homedir(), '.cache') : env.XDG_CACHE_HOME;
  const named = (env.SIGHTLINE_MODEL_PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return {
    ffmpegPath: env.FFMPEG_PATH,
    searchPath: env.PATH ?? '',
    modelPath: [...named, join(sharedDir, 'models')],
    cacheDir: env.SIGHTLINE_CACHE_DIR ?? join(cacheHome, 'sightline'),
    token: undefined,
    openvinoDir: env.OPENVINO_DIR,
  };
}

async function hasWeights(model: string, { modelPath, cacheDir }: Environment): Promise<boolean> {
  try {
    await findWeights(await loadManifest(model), {
      searchPath: modelPath,
      cacheDir,
      onNotice: () => undefined,
      mayFetch: false,
    });
    return true;
  } catch (error) {
    if (error instanceof SightlineError && error.code === 'MODEL_WEIGHTS_MISSING') return false;
    throw error;
  }
}

/** Prepares a model for an engine. */
export function preparedModel(
  { environment, note }: BenchContext,
  model: string,
  engine: Parameters<typeof prepareModel>[1]['engine'],
  precision: ComputePrecision = 'f32',
  provider = 'cpu',
): ReturnType<typeof prepareModel> {
  const { modelPath, cacheDir } = environment;
  return prepareModel(model, { engine, precision, provider, searchPath: modelPath, cacheDir, onNotice: note });
}

/** Lets a child process find the models and the cache of this run. */
export function childEnvironment({ environment: { cacheDir, modelPath } }: BenchContext): NodeJS.ProcessEnv {
  return { ...process.env, SIGHTLINE_CACHE_DIR: cacheDir, SIGHTLINE_MODEL_PATH: modelPath.join(delimiter) };
}
