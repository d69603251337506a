import { realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isBelow, realPaths } from '../../base/disk/real-path.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';

/** Files that a model named over the network may consist of. Names of the store need no admission. */
export interface ModelRoots {
  /** Folders below which manifests, ONNX files and lists of class names may be named by path (`rollout.modelRoots`). */
  readonly roots: readonly string[];
  /** Files that the pipeline file of this host names itself. */
  readonly files: readonly string[];
}

/** A file that may be read. */
export interface AdmittedFile {
  /** Real path, links resolved. */
  readonly path: string;
  /** Folders and files that it must still be in when it is opened, see `GivenFile`. */
  readonly within: readonly string[];
}

/** Returns whether a model is named by the path of a file, not by a name of the store. */
export function isModelPath(nameOrPath: string): boolean {
  return isOnnxFile(nameOrPath) || isManifestPath(nameOrPath);
}

/** Returns whether the name is the path of an ONNX file, which needs no manifest. */
export function isOnnxFile(nameOrPath: string): boolean {
  return /\.onnx$/i.test(nameOrPath);
}

/** Returns whether the name, if it is no ONNX file, is the path of a manifest. */
export function isManifestPath(nameOrPath: string): boolean {
  return /[\\/]|\.ya?ml$/i.test(nameOrPath);
}

/**
 * Admits a file by its real path. A path outside of the roots is refused without touching the disk: a file system that does
 * not answer would block a thread.
 *
 * @param what - for messages: `model`, `labels`.
 * @throws MODEL_FORBIDDEN; MODEL_NOT_FOUND if it may be read but does not exist.
 */
export async function admitModelFile(path: string, what: string, { roots, files }: ModelRoots): Promise<AdmittedFile> {
  const forbidden = (): SightlineError => {
    const allowed = roots.length === 0 ? 'which lists none' : `which lists ${roots.join(', ')}`;
    const name = JSON.stringify(path.slice(0, MOST_CHARACTERS));
    return new SightlineError(
      'MODEL_FORBIDDEN',
      `${what} ${name}: expected a name of the model store, or a path below the folders of rollout.modelRoots, ${allowed}`,
    );
  };
  if (path.includes('\0')) throw forbidden();
  const full = resolve(path);
  const allowed = [...roots, ...files].map((each) => resolve(each));
  const within = await realPaths(allowed);
  if (![...allowed, ...within].some((root) => isBelow(full, root))) throw forbidden();
  const real = await realpath(full).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw forbidden();
    throw new SightlineError('MODEL_NOT_FOUND', `${what} ${path}: no such file`, { path });
  });
  if (!within.some((root) => isBelow(real, root))) throw forbidden();
  return { path: real, within };
}

/** Longest part of a name in a message. */
const MOST_CHARACTERS = 200;
