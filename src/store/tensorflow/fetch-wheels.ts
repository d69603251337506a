import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunTool, reasonOf, setupFailed } from './run-tool.ts';

/** What the wheels are made for. Their native files do not depend on the Python, so any one that has wheels will do. */
const PYTHON_OF_THE_WHEELS = '3.11';
const GLIBC_MINORS = [12, 17, 24, 25, 26, 27, 28];

/**
 * Downloads the wheels that a requirements file names, with pip, so that the user's index, proxy and credentials apply. Every
 * file must have the sha256 that the requirements state.
 *
 * @param folder - gets the wheels, and a virtual environment where Python has no pip of its own.
 * @returns the paths of the wheels. Throws SETUP_FAILED.
 */
export async function fetchWheels(
  requirements: string,
  folder: string,
  { python, machine, run }: { python: string; machine: 'x86_64' | 'aarch64'; run: RunTool },
): Promise<string[]> {
  const pip = await findPip(python, folder, run);
  const platforms = [`manylinux2014_${machine}`, ...GLIBC_MINORS.map((minor) => `manylinux_2_${minor}_${machine}`)];
  const wheels = join(folder, 'wheels');
  const args = [
    ...['-m', 'pip', 'download', '--require-hashes', '--no-deps', '--only-binary=:all:'],
    ...['--python-version', PYTHON_OF_THE_WHEELS, '--implementation', 'cp'],
    ...platforms.flatMap((platform) => ['--platform', platform]),
    ...['--dest', wheels, '--requirement', requirements],
    // What is unpacked is kept; pip would keep the archives a second time.
    ...[
      '--no-cache-dir',
      '--retries',
      '2',
      '--disable-pip-version-check',
      '--no-input',
      '--progress-bar',
      'off',
      '--quiet',
    ],
  ];
  try {
    await run(pip, args, folder);
  } catch (error) {
    throw setupFailed(`pip could not fetch what ${requirements} names:\n${reasonOf(error)}`, error);
  }
  const names = await readdir(wheels);
  return names.filter((name) => name.endsWith('.whl')).map((name) => join(wheels, name));
}

/** A Python that has pip: the one given, or a virtual environment made by it. */
async function findPip(python: string, folder: string, run: RunTool): Promise<string> {
  try {
    await run(python, ['--version'], folder);
  } catch (error) {
    throw setupFailed(
      `${python}: ${reasonOf(error)}. Python fetches the wheels: install it (Debian: apt-get install python3 python3-pip), ` +
        'or give a folder with libtensorflow: npm run setup:tensorflow -- --from FOLDER',
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
      throw setupFailed(
        `${python} has neither pip nor a venv that could bring it: apt-get install python3-pip (or python3-venv)`,
        error,
      );
    }
    return join(environment, 'bin', 'python');
  }
}
