import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setupFailed } from '../wheels/run-tool.ts';

/** Folders of a libtensorflow: its headers, and its two libraries with their file names. */
export interface LibraryLayout {
  readonly includeDir: string;
  readonly libDir: string;
  readonly libraryName: string;
  readonly frameworkName: string;
}

const FRAMEWORK = 'libtensorflow_framework.so.2';
/** The C API is in `libtensorflow_cc` in a wheel, and in `libtensorflow` in the archive for C programs. */
const LIBRARIES = ['libtensorflow_cc.so.2', 'libtensorflow.so.2'];

/**
 * Finds libtensorflow in a folder: unpacked wheels or a `site-packages`, the package `tensorflow` itself, or the archive for
 * C programs with `include/` and `lib/`. @throws SETUP_FAILED with the files it expected.
 */
export function findLibrary(folder: string): LibraryLayout {
  for (const root of [join(folder, 'tensorflow'), folder]) {
    const includeDir = join(root, 'include');
    if (!existsSync(join(includeDir, 'tensorflow/c/eager/c_api.h'))) continue;
    for (const libDir of [root, join(root, 'lib')]) {
      const libraryName = LIBRARIES.find((name) => existsSync(join(libDir, name)));
      if (libraryName !== undefined && existsSync(join(libDir, FRAMEWORK)))
        return { includeDir, libDir, libraryName, frameworkName: FRAMEWORK };
    }
  }
  throw setupFailed(
    `${folder}: expected include/tensorflow/c/eager/c_api.h with ${LIBRARIES.join(' or ')} and ${FRAMEWORK}, as in an unpacked ` +
      `wheel of tensorflow or in the archive of libtensorflow; found neither in it nor in ${join(folder, 'tensorflow')}`,
  );
}
