import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, realpath, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { OpenvinoFacts } from '../../../base/core/openvino-facts.ts';
import { writeWholeFile } from '../../../base/disk/replace-file.ts';
import { packageRoot } from '../package-root.ts';
import { installWheels, manylinux } from '../wheels/install-wheels.ts';
import { type RunTool, reasonOf, setupFailed } from '../wheels/run-tool.ts';
import { makeFolder, removeAbandoned, requireSpace } from '../wheels/setup-folder.ts';
import { findOpenvinoLibrary } from './find-library.ts';
import { OPENVINO_RECORD, type OpenvinoRecord, openvinoHome } from './openvino-place.ts';
import { probeOpenvino } from './probe-openvino.ts';

export interface OpenvinoSetupOptions {
  /** A folder with OpenVINO, used in place instead of a download. */
  readonly from: string | undefined;
  readonly cacheDir: string;
  /** Command that starts Python. */
  readonly python: string;
  readonly onStep: (text: string) => void;
  readonly run: RunTool;
  /** The remaining options are for tests. */
  readonly requirements?: string;
  readonly platform?: string;
  readonly freeBytes?: (folder: string) => Promise<number>;
}

/** Disk space for the archive and the unpacked files. Measured with 2026.4.1. */
const NEEDED_BYTES = 0.3e9;
const FROM_COMMAND = 'sightline setup openvino --from FOLDER';

/** Platform tags of the wheels, for each system that has wheels. */
const PLATFORMS: Readonly<Partial<Record<string, readonly string[]>>> = {
  'linux-x64': manylinux('x86_64'),
  'darwin-arm64': ['macosx_11_0_arm64'],
  'win32-x64': ['win_amd64'],
};

const WANTED = /^openvino\/libs\/|\/licenses\//;
/** Readers of formats other than ONNX and OpenVINO's own. */
const UNWANTED = /openvino_(?:pytorch|tensorflow|tensorflow_lite|paddle|jax|gguf)_frontend/;

/**
 * Fetches OpenVINO, or uses the one in a folder, checks that it loads, and records it in the cache for the engine.
 *
 * @returns the record, and the library's facts.
 * @throws SETUP_FAILED; an earlier set-up then stays in place.
 */
export async function setupOpenvino(options: OpenvinoSetupOptions): Promise<OpenvinoRecord & OpenvinoFacts> {
  const home = openvinoHome(options.cacheDir);
  await mkdir(home, { recursive: true });
  await removeAbandoned(home);
  const isFetched = options.from === undefined;
  const library = isFetched ? await fetchedLibrary(home, options) : await libraryIn(options.from!);
  options.onStep(`loading ${library}`);
  const facts = await probe(library, options.run);
  const record: OpenvinoRecord = {
    version: facts.version,
    library: isFetched ? relative(home, library) : library,
    flavour: isFetched ? 'wheel' : 'folder',
    packages: isFetched ? await packagesOf(home, library) : {},
  };
  await writeWholeFile(join(home, OPENVINO_RECORD), `${JSON.stringify(record, null, 2)}\n`);
  return { ...record, ...facts };
}

/** Returns the library of the wheel. A wheel that was unpacked earlier and still loads is not fetched again. */
async function fetchedLibrary(home: string, options: OpenvinoSetupOptions): Promise<string> {
  const requirements = options.requirements ?? join(packageRoot(), 'workers', 'requirements', 'openvino.txt');
  const platforms = platformsOf(options.platform ?? `${process.platform}-${process.arch}`);
  const hash = createHash('sha256')
    .update(platforms.join())
    .update(await readFile(requirements));
  const folder = join(home, `wheel-${hash.digest('hex').slice(0, 12)}`);
  const existing = existsSync(join(folder, PACKAGES)) ? findOpenvinoLibrary(folder) : null;
  if (existing !== null) {
    try {
      await probe(existing, options.run);
      options.onStep(`already fetched: ${folder}`);
      return existing;
    } catch (error) {
      options.onStep(`${folder} is damaged and will be fetched again: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  await makeFolder(folder, (partial) => fetchInto(partial, requirements, platforms, options));
  return libraryIn(folder);
}

const PACKAGES = 'packages.json';

async function fetchInto(
  partial: string,
  requirements: string,
  platforms: readonly string[],
  { python, run, onStep, freeBytes }: OpenvinoSetupOptions,
): Promise<void> {
  await requireSpace(partial, NEEDED_BYTES, freeBytes);
  onStep(`fetching the wheel of ${requirements} (60 MB)`);
  const otherwise = `or give a folder with OpenVINO: ${FROM_COMMAND}`;
  const packages = await installWheels(requirements, partial, partial, {
    python,
    platforms,
    otherwise,
    run,
    onStep,
    what: 'the libraries',
    wanted: WANTED,
    unwanted: UNWANTED,
  });
  await libraryIn(partial);
  await writeFile(join(partial, PACKAGES), `${JSON.stringify(packages)}\n`);
}

function platformsOf(platform: string): readonly string[] {
  const platforms = PLATFORMS[platform];
  if (platforms !== undefined) return platforms;
  throw setupFailed(
    `there is no wheel of OpenVINO for ${platform} (there is for ${Object.keys(PLATFORMS).join(', ')}); install OpenVINO and name ` +
      `its folder: ${FROM_COMMAND}`,
  );
}

async function libraryIn(folder: string): Promise<string> {
  const library = findOpenvinoLibrary(folder);
  if (library !== null) return realpath(library);
  throw setupFailed(
    `${folder}: expected OpenVINO's C library (libopenvino_c.so, libopenvino_c.dylib or openvino_c.dll), as in an unpacked wheel or in ` +
      "Intel's archive; it is not there",
  );
}

async function probe(library: string, run: RunTool): Promise<OpenvinoFacts> {
  try {
    return await probeOpenvino(library, run);
  } catch (error) {
    throw setupFailed(`${library} cannot be loaded:\n${reasonOf(error)}`, error);
  }
}

async function packagesOf(home: string, library: string): Promise<Record<string, string>> {
  const [folder] = relative(home, library).split(/[\\/]/);
  return JSON.parse(await readFile(join(home, folder!, PACKAGES), 'utf8')) as Record<string, string>;
}
