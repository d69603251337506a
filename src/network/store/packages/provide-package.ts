import { copyFile, lstat, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import {
  FETCHED_VERSIONS,
  type FetchedPackage,
  findFetchedPackage,
  requirementsOf,
  useFetchedPackage,
} from '../../../base/process/fetched-packages.ts';
import { progressTo } from '../fetch-progress.ts';
import { type RunNpm, runNpmCommand, watchArrival } from '../npm-package.ts';
import { reasonOf, setupFailed } from '../wheels/run-tool.ts';
import { partialName, removeAbandoned, requireSpace } from '../wheels/setup-folder.ts';

export interface ProvideOptions {
  readonly cacheDir: string;
  /** Receives sentences about a download: its size, its progress, its folder. */
  readonly onNotice: (text: string) => void;
  /** Replaced by tests. */
  readonly runNpm?: RunNpm;
  /** Ends npm. */
  readonly signal?: AbortSignal | undefined;
}

/** Megabytes that npm downloads and unpacks for a package and those that it needs. Measured on Linux. */
const MEGABYTES: Readonly<Record<FetchedPackage, { readonly download: number; readonly unpacked: number }>> = {
  'onnxruntime-node': { download: 115, unpacked: 303 },
  '@tensorflow/tfjs-node-gpu': { download: 76, unpacked: 291 },
};

/**
 * npm installs exactly the lock file, whose hashes it checks, and runs no script. The other settings override those that a
 * surrounding npm command may have put into the environment.
 */
const NPM_CI = ['ci', '--prefix=.', '--ignore-scripts', '--no-global', '--no-audit', '--no-fund', '--prefer-offline'];

/** What is fetched now, by its folder. */
const running = new Map<string, { readonly work: Promise<void>; readonly signal: AbortSignal | undefined }>();

/** Finds a package beside this one or in the cache; returns the path of its package.json, null if it is in neither. */
export function findProvided(name: FetchedPackage, cacheDir: string): string | null {
  const found = findFetchedPackage(name);
  if (found !== null) return found;
  useFetchedPackage(name, folderOf(name, cacheDir));
  return findFetchedPackage(name);
}

/**
 * Makes a package of `FETCHED_VERSIONS` loadable. If it is neither beside this package nor in the cache, npm fetches it, so that
 * the user's registry, proxy and credentials apply.
 *
 * @throws SETUP_FAILED; the reason of the signal; then no partial files stay.
 */
export async function providePackage(name: FetchedPackage, options: ProvideOptions): Promise<void> {
  if (findProvided(name, options.cacheDir) !== null) return;
  const folder = folderOf(name, options.cacheDir);
  const other = running.get(folder);
  if (other !== undefined) {
    await other.work.catch((error: unknown) => {
      // Its signal ended it, not ours.
      if (other.signal?.aborted !== true) throw error;
    });
    return providePackage(name, options);
  }
  const work = fetchTo(folder, name, options).finally(() => running.delete(folder));
  running.set(folder, { work, signal: options.signal });
  await work;
}

/** Makes ONNX Runtime loadable, as `providePackage` does. @throws ENGINE_UNAVAILABLE; the reason of the signal */
export async function provideOnnxRuntime(options: ProvideOptions): Promise<void> {
  try {
    await providePackage('onnxruntime-node', options);
  } catch (error) {
    options.signal?.throwIfAborted();
    const message = `engine onnx: ${(error as Error).message}`;
    throw new SightlineError('ENGINE_UNAVAILABLE', message, {}, { cause: error });
  }
}

function folderOf(name: FetchedPackage, cacheDir: string): string {
  const version = FETCHED_VERSIONS[name];
  return join(cacheDir, 'packages', `${basename(name)}-${version}-${process.platform}-${process.arch}`);
}

async function fetchTo(folder: string, name: FetchedPackage, options: ProvideOptions): Promise<void> {
  const partial = partialName(folder);
  const what = `${name} ${FETCHED_VERSIONS[name]}`;
  const { download, unpacked } = MEGABYTES[name];
  const { onNotice, signal } = options;
  const runNpm: RunNpm = (args, place) => (options.runNpm ?? runNpmCommand)(args, place, signal);
  try {
    await mkdir(partial, { recursive: true });
    await removeAbandoned(dirname(folder));
    await requireSpace(partial, unpacked * 1.1e6);
    for (const file of ['package.json', 'package-lock.json'])
      await copyFile(join(requirementsOf(name), file), join(partial, file));
    onNotice(`fetching ${what} with npm, once: ${download} MB`);
    const startedMs = performance.now();
    const stopWatching = await watchArrival(runNpm, partial, progressTo(what, download * 1e6, { onNotice }));
    await runNpm(NPM_CI, partial).finally(() => stopWatching?.());
    await removeOtherSystems(partial);
    await rename(partial, folder).catch((error: unknown) => {
      // Another process may have been faster.
      if (findFetchedPackage(name) === null) throw error;
    });
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
    onNotice(`${what} is in ${folder} (${((await bytesIn(folder)) / 1e6).toFixed(0)} MB) after ${seconds} s`);
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof SightlineError) throw error;
    throw setupFailed(`npm cannot fetch ${what}: ${reasonOf(error)}`, error);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

/** Removes the libraries of other systems: `bin/napi-v6/SYSTEM/PROCESSOR` in onnxruntime-node. They are four fifths of it. */
async function removeOtherSystems(folder: string): Promise<void> {
  const bin = join(folder, 'node_modules', 'onnxruntime-node', 'bin');
  for (const place of await readdir(bin, { recursive: true }).catch(() => [])) {
    const [, system, processor, ...rest] = place.split(/[\\/]/);
    const isOther = system !== process.platform || processor !== process.arch;
    if (processor !== undefined && rest.length === 0 && isOther)
      await rm(join(bin, place), { recursive: true, force: true });
  }
}

async function bytesIn(folder: string): Promise<number> {
  const paths = await readdir(folder, { recursive: true }).catch(() => []);
  // npm moves files while it works.
  const sizes = await Promise.all(
    paths.map((path) =>
      lstat(join(folder, path)).then(
        (stats) => (stats.isFile() ? stats.size : 0),
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
