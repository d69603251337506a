import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Library folders of a `site-packages`, an unpacked wheel, and Intel's archives for Linux, macOS and Windows. */
const FOLDERS = [
  '.',
  'openvino/libs',
  'libs',
  'lib',
  'runtime/lib/intel64',
  'runtime/lib/arm64',
  'runtime/lib/aarch64',
  'runtime/lib/arm64/Release',
  'runtime/lib/intel64/Release',
  'runtime/bin/intel64/Release',
];

/** `libopenvino_c.so.2641`, `libopenvino_c.2641.dylib`, `openvino_c.dll`. */
const C_LIBRARY = /^(?:libopenvino_c\.so(?:\.\d+)*|libopenvino_c(?:\.\d+)*\.dylib|openvino_c\.dll)$/;

/** Finds the library of OpenVINO's C API in a folder; null if there is none. */
export function findOpenvinoLibrary(folder: string): string | null {
  for (const place of FOLDERS) {
    // If there are several names, the shortest is the link to the others.
    const [name] = namesIn(join(folder, place))
      .filter((file) => C_LIBRARY.test(file))
      .sort((a, b) => a.length - b.length);
    if (name !== undefined) return join(folder, place, name);
  }
  return null;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
