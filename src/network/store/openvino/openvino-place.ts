import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { OPENVINO_REMEDY } from '../../../base/core/openvino-facts.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { findOpenvinoLibrary } from './find-library.ts';

/** The record that `setup openvino` writes to the cache. */
export interface OpenvinoRecord {
  /** Version that the library reports. */
  readonly version: string;
  /** Path of the C library; relative to the record's folder if the set-up fetched it. */
  readonly library: string;
  readonly flavour: 'wheel' | 'folder';
  /** Versions of the unpacked wheels. */
  readonly packages: Readonly<Record<string, string>>;
}

/** An OpenVINO installation that can be loaded. */
export interface OpenvinoPlace {
  readonly libraryPath: string;
  readonly foundBy: 'OPENVINO_DIR' | 'sightline setup';
  /** Null if the library has not been loaded to query it. */
  readonly version: string | null;
}

export const OPENVINO_RECORD = 'setup.json';

export function openvinoHome(cacheDir: string): string {
  return join(cacheDir, 'openvino');
}

/**
 * Finds OpenVINO in OPENVINO_DIR, else in the cache. Returns null if it is in neither.
 *
 * @throws ENGINE_UNAVAILABLE if OPENVINO_DIR names a folder without OpenVINO.
 */
export function findOpenvino({
  openvinoDir,
  cacheDir,
}: {
  readonly openvinoDir?: string | undefined;
  readonly cacheDir: string;
}): OpenvinoPlace | null {
  if (openvinoDir !== undefined && openvinoDir !== '') {
    const libraryPath = findOpenvinoLibrary(openvinoDir);
    if (libraryPath !== null) return { libraryPath, foundBy: 'OPENVINO_DIR', version: null };
    throw new SightlineError(
      'ENGINE_UNAVAILABLE',
      `OPENVINO_DIR: expected a folder with OpenVINO's C library (libopenvino_c, as in an unpacked wheel or Intel's archive), ` +
        `received ${openvinoDir}`,
    );
  }
  const home = openvinoHome(cacheDir);
  const record = readRecord(home);
  if (record === null) return null;
  const libraryPath = resolve(home, record.library);
  return existsSync(libraryPath) ? { libraryPath, foundBy: 'sightline setup', version: record.version } : null;
}

/** Finds OpenVINO as `findOpenvino` does. @throws ENGINE_UNAVAILABLE with set-up instructions if there is none. */
export function requireOpenvino(environment: Parameters<typeof findOpenvino>[0]): OpenvinoPlace {
  const place = findOpenvino(environment);
  if (place !== null) return place;
  throw new SightlineError('ENGINE_UNAVAILABLE', `engine openvino is not set up. ${OPENVINO_REMEDY}`);
}

/** Returns a text that identifies this version or build of OpenVINO, without loading it. */
export function openvinoIdentity({ libraryPath, version }: OpenvinoPlace): string {
  if (version !== null) return version;
  const { size, mtimeMs } = statSync(libraryPath);
  return `${libraryPath} ${size} ${mtimeMs}`;
}

function readRecord(home: string): OpenvinoRecord | null {
  try {
    return JSON.parse(readFileSync(join(home, OPENVINO_RECORD), 'utf8')) as OpenvinoRecord;
  } catch {
    return null;
  }
}
