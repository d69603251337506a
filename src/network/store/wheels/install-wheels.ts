import { readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type RunTool, reasonOf, setupFailed } from './run-tool.ts';

/** Python version of the wheels. Their native files are the same for all versions, so any version with wheels works. */
const WHEEL_PYTHON_VERSION = '3.11';
const GLIBC_MINORS = [12, 17, 24, 25, 26, 27, 28];

/** Returns the platform tags of wheels for Linux. */
export function manylinux(machine: 'x86_64' | 'aarch64'): string[] {
  return [`manylinux2014_${machine}`, ...GLIBC_MINORS.map((minor) => `manylinux_2_${minor}_${machine}`)];
}

export interface WheelOptions {
  /** Command that starts Python. */
  readonly python: string;
  /** Platform tags of the wheels, such as `manylinux_2_28_x86_64`. */
  readonly platforms: readonly string[];
  /** The alternative that the error message suggests if there is no Python. */
  readonly otherwise: string;
  /** Paths in the wheels that are unpacked, except those that match `unwanted`. */
  readonly wanted: RegExp;
  readonly unwanted: RegExp;
  /** What is unpacked, for a step's text. */
  readonly what: string;
  readonly onStep: (text: string) => void;
  readonly run: RunTool;
}

const UNZIP = `
import re, sys, zipfile
target, wheel, wanted, unwanted = sys.argv[1:5]
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(target, [n for n in archive.namelist() if re.search(wanted, n) and not re.search(unwanted, n)])
`;

/**
 * Downloads the wheels of a requirements file and unpacks the needed files into one folder, laid out as pip would.
 *
 * @param folder - holds the wheels meanwhile, and a virtual environment if Python has no pip.
 * @returns the versions by wheel name.
 * @throws SETUP_FAILED
 */
export async function installWheels(
  requirements: string,
  folder: string,
  site: string,
  options: WheelOptions,
): Promise<Record<string, string>> {
  const { python, wanted, unwanted, run } = options;
  const wheels = await fetchWheels(requirements, folder, options);
  options.onStep(`unpacking ${options.what}`);
  const packages: Record<string, string> = {};
  for (const wheel of wheels) {
    try {
      await run(python, ['-c', UNZIP, site, wheel, wanted.source, unwanted.source], site);
    } catch (error) {
      throw setupFailed(`${basename(wheel)} cannot be unpacked: ${reasonOf(error)}`, error);
    }
    // At once, because wheels can take gigabytes.
    await rm(wheel);
    const [name, version] = basename(wheel).split('-');
    packages[name!.replaceAll('_', '-')] = version!;
  }
  for (const name of ['wheels', 'python']) await rm(join(folder, name), { recursive: true, force: true });
  return packages;
}

/**
 * Downloads the wheels with pip, so the user's index, proxy and credentials apply. Every file must have the sha256 that the
 * requirements state. @returns their paths.
 */
async function fetchWheels(requirements: string, folder: string, options: WheelOptions): Promise<string[]> {
  const { platforms, run } = options;
  const pip = await findPip(folder, options);
  const wheels = join(folder, 'wheels');
  const args = [
    ...['-m', 'pip', 'download', '--require-hashes', '--no-deps', '--only-binary=:all:'],
    ...['--python-version', WHEEL_PYTHON_VERSION, '--implementation', 'cp'],
    ...platforms.flatMap((platform) => ['--platform', platform]),
    ...['--dest', wheels, '--requirement', requirements],
    // The unpacked files are kept, so a copy of the archives in pip's cache would waste space.
    ...['--no-cache-dir', '--retries', '2', '--disable-pip-version-check', '--no-input', '--progress-bar', 'off'],
    '--quiet',
  ];
  try {
    await run(pip, args, folder);
  } catch (error) {
    throw setupFailed(`pip could not fetch what ${requirements} names:\n${reasonOf(error)}`, error);
  }
  const names = await readdir(wheels);
  return names.filter((name) => name.endsWith('.whl')).map((name) => join(wheels, name));
}

/** Returns a Python with pip: the given one, or a virtual environment created by it. */
async function findPip(folder: string, { python, otherwise, run }: WheelOptions): Promise<string> {
  try {
    await run(python, ['--version'], folder);
  } catch (error) {
    throw setupFailed(
      `${python}: ${reasonOf(error)}. Python fetches the wheels: install it (Debian: apt-get install python3 python3-pip), ` +
        otherwise,
      error,
    );
  }
  try {
    await run(python, ['-m', 'pip', '--version'], folder);
    return python;
  } catch {
    const environment = join(folder, 'python');
    try {
      await run(python, ['-m', 'venv', environment], folder);
    } catch (error) {
      throw setupFailed(`${python} has neither pip nor venv: apt-get install python3-pip (or python3-venv)`, error);
    }
    return join(environment, 'bin', 'python');
  }
}
