import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';
import { libraryCall } from './allocator.ts';

/**
 * npm packages that are fetched when they are first needed, in the one version that is used (docs/adr/0051). They are no
 * dependencies: the install script of onnxruntime-node downloads CUDA libraries from another host, and where that cannot be
 * reached the whole installation fails; TensorFlow is large, and few need it.
 */
export const FETCHED_VERSIONS = {
  'onnxruntime-node': '1.30.0',
  '@tensorflow/tfjs-node-gpu': '4.22.0',
} as const;

export type FetchedPackage = keyof typeof FETCHED_VERSIONS;

const PACKAGE_ROOT = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../..' : '../../../..', import.meta.url),
);

/** Returns the folder with the package.json and the lock file of a fetched package. */
export function requirementsOf(name: FetchedPackage): string {
  return join(PACKAGE_ROOT, 'workers', 'requirements', basename(name));
}

const keyOf = (name: FetchedPackage): string => `sightline:${name}`;

/** Sets the folder with the `node_modules` of a fetched package, for this thread and the threads that it starts later. */
export function useFetchedPackage(name: FetchedPackage, folder: string): void {
  setEnvironmentData(keyOf(name), folder);
}

/** Returns the folders that were set, as an argument for a child process, which calls `adoptFetchedPackages`. */
export function fetchedPackagesArgument(): string {
  const names = Object.keys(FETCHED_VERSIONS) as FetchedPackage[];
  return JSON.stringify(Object.fromEntries(names.map((name) => [name, getEnvironmentData(keyOf(name))])));
}

export function adoptFetchedPackages(argument: string | undefined): void {
  const folders = JSON.parse(argument ?? '{}') as Partial<Record<FetchedPackage, string>>;
  for (const [name, folder] of Object.entries(folders)) useFetchedPackage(name as FetchedPackage, folder);
}

/**
 * Finds a package of `FETCHED_VERSIONS`: beside this package, as in a clone; where `npm ci` was run with its lock file in this
 * package, as in an image; or in the folder that was set.
 *
 * @returns the path of its package.json; null if none has that version.
 */
export function findFetchedPackage(name: FetchedPackage): string | null {
  const folders = [dirname(fileURLToPath(import.meta.url)), requirementsOf(name), getEnvironmentData(keyOf(name))];
  for (const folder of folders) {
    try {
      const path = createRequire(join(folder as string, 'package.json')).resolve(`${name}/package.json`);
      const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version: string };
      if (version === FETCHED_VERSIONS[name]) return path;
    } catch {
      // It is not there.
    }
  }
  return null;
}

/** Loads a package of `FETCHED_VERSIONS`. Throws `Error` if it is not on this machine, or what the package throws. */
export function loadFetchedPackage(name: FetchedPackage): unknown {
  const path = findFetchedPackage(name);
  if (path === null) throw new Error(`${name} ${FETCHED_VERSIONS[name]} is not on this machine`);
  return createRequire(path)(dirname(path));
}

const NO_TELEMETRY = 'ORT_DISABLE_TELEMETRY';

/**
 * Keeps ONNX Runtime from sending what it is used for to its maker: 1.30 does by default, and writes an identifier of the machine to
 * the home folder. It reads the variable once in a process, when it is loaded. Call this before a thread starts that loads it: what
 * a thread sets in its `process.env` is a copy that native code does not see.
 *
 * @throws Error in a thread of the caller's own, where C cannot be called.
 */
export function disableTelemetry(): void {
  if (getEnvironmentData(NO_TELEMETRY) === true) return;
  if (!isMainThread && process.env[NO_TELEMETRY] !== '1') {
    const setenv = libraryCall('setenv', 'int', ['str', 'str', 'int']);
    if (setenv === null)
      throw new Error(`expected ${NO_TELEMETRY}=1 in the environment of a program that loads it in a thread`);
    setenv(NO_TELEMETRY, '1', 1);
  }
  process.env[NO_TELEMETRY] = '1';
  setEnvironmentData(NO_TELEMETRY, true);
}

/** Loads ONNX Runtime without telemetry; see `loadFetchedPackage`. @throws Error also as `disableTelemetry` does */
export function onnxRuntime(): typeof import('onnxruntime-node') {
  disableTelemetry();
  return loadFetchedPackage('onnxruntime-node') as typeof import('onnxruntime-node');
}
