import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BenchContext } from '../support/bench-context.ts';

const run = promisify(execFile);
/** Packages that a loop needs besides OpenCV and numpy; pip and `import` use the same name. */
export type Runtime = 'onnxruntime' | 'openvino';
const INSTALL_TIMEOUT_MS = 300_000;

/**
 * Finds a Python with OpenCV and an inference runtime; if there is none, creates a virtual environment in the cache folder.
 *
 * @returns the interpreter, or the reason why there is none and how to fix it.
 */
export async function findPython(
  { environment, note }: BenchContext,
  runtime: Runtime,
): Promise<{ path: string } | { missing: string }> {
  const folder = join(environment.cacheDir, runtime === 'onnxruntime' ? 'bench-python' : `bench-python-${runtime}`);
  const packages = [runtime, 'opencv-python-headless', 'numpy'];
  const own = join(folder, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python3');
  for (const path of [own, 'python3', '/usr/bin/python3']) if (await hasPackages(path, runtime)) return { path };
  const commands = `python3 -m venv ${folder} && ${own} -m pip install ${packages.join(' ')}`;
  note(`no python3 has OpenCV and ${runtime}; creating an environment: ${commands}`);
  try {
    await run('python3', ['-m', 'venv', folder], { timeout: INSTALL_TIMEOUT_MS });
    await run(own, ['-m', 'pip', 'install', '--quiet', ...packages], { timeout: INSTALL_TIMEOUT_MS });
    if (await hasPackages(own, runtime)) return { path: own };
  } catch (error) {
    const reason = (error as Error).message.trim().split('\n').at(-1);
    return { missing: `${reason}. To fix it: ${commands}` };
  }
  return {
    missing: `the packages were installed but cannot be imported. To see why: ${own} -c "import cv2, ${runtime}"`,
  };
}

/** Finds a Python with OpenCV, in any of these environments; installs nothing. Null if there is none. */
export async function findOpencv({ environment }: BenchContext): Promise<string | null> {
  const own = ['bench-python', 'bench-python-openvino'].map((name) =>
    join(environment.cacheDir, name, 'bin', 'python3'),
  );
  for (const path of [...own, 'python3', '/usr/bin/python3']) {
    const isFound = await run(path, ['-c', 'import cv2, numpy'], { timeout: 60_000 }).then(
      () => true,
      () => false,
    );
    if (isFound) return path;
  }
  return null;
}

async function hasPackages(path: string, runtime: Runtime): Promise<boolean> {
  try {
    await run(path, ['-c', `import cv2, ${runtime}, numpy; cv2.dnn.NMSBoxesBatched`], { timeout: 60_000 });
    return true;
  } catch {
    return false;
  }
}
