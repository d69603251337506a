import { chmod, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type RunTool, reasonOf, setupFailed } from './run-tool.ts';

/** What the binding is compiled and linked against, and what the library needs beside it to find a GPU. */
const WANTED = [
  'tensorflow/libtensorflow',
  'tensorflow/include/tensorflow/c/',
  'tensorflow/include/tensorflow/core/platform/',
  'tensorflow/include/tsl/platform/',
  'tensorflow/include/xla/tsl/c/',
  'nvidia/',
];
/** Nothing of these is read when a network runs. */
const UNWANTED = ['/include/', '/samples/', '.a'];

const UNZIP = `
import sys, zipfile
target, wheel, wanted, unwanted = sys.argv[1], sys.argv[2], tuple(sys.argv[3].split(',')), sys.argv[4].split(',')
with zipfile.ZipFile(wheel) as archive:
    names = [n for n in archive.namelist() if n.startswith(wanted)]
    archive.extractall(target, [n for n in names
        if not n.startswith('nvidia/') or not any(part in n if part.endswith('/') else n.endswith(part) for part in unwanted)])
`;

/**
 * Unpacks what is needed of some wheels into one folder, as pip would lay it out: libtensorflow looks for CUDA in
 * `../nvidia/NAME/lib` beside itself. Each wheel is removed once it is unpacked, since they take gigabytes.
 *
 * @returns the versions of the wheels by name. Throws SETUP_FAILED.
 */
export async function unpackWheels(
  wheels: readonly string[],
  site: string,
  { python, run }: { python: string; run: RunTool },
): Promise<Record<string, string>> {
  const packages: Record<string, string> = {};
  for (const wheel of wheels) {
    try {
      await run(python, ['-c', UNZIP, site, wheel, WANTED.join(','), UNWANTED.join(',')], site);
    } catch (error) {
      throw setupFailed(`${basename(wheel)} cannot be unpacked: ${reasonOf(error)}`, error);
    }
    await rm(wheel);
    const [name, version] = basename(wheel).split('-');
    packages[name!.replaceAll('_', '-')] = version!;
  }
  await makeRunnable(join(site, 'nvidia', 'cuda_nvcc', 'bin'));
  return packages;
}

/** A zip archive unpacked by Python loses the mark that says "may be run"; XLA starts ptxas. */
async function makeRunnable(folder: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch {
    return;
  }
  await Promise.all(names.map((name) => chmod(join(folder, name), 0o755)));
}
