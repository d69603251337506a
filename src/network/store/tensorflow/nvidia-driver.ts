import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Version of the kernel driver. Under WSL the driver belongs to Windows, and only the device below exists. */
const VERSION_FILE = '/proc/driver/nvidia/version';
const WSL_DEVICE = '/dev/dxg';

/** A folder for each GPU, with a file `information`. */
const GPU_FOLDER = '/proc/driver/nvidia/gpus';

/** Returns the names of the NVIDIA GPUs, such as `NVIDIA H100`; none where the driver does not list them. */
export function nvidiaGpus(folder = GPU_FOLDER): string[] {
  try {
    return readdirSync(folder)
      .sort()
      .map((name) => readFileSync(join(folder, name, 'information'), 'utf8'))
      .map((text) => /^Model:\s*(.+?)\s*$/m.exec(text)?.[1] ?? 'of unknown model');
  } catch {
    return [];
  }
}

/** Returns the version of the system's NVIDIA driver; null if there is none. */
export function nvidiaDriver(versionFile = VERSION_FILE, wslDevice = WSL_DEVICE): string | null {
  try {
    const text = readFileSync(versionFile, 'utf8');
    return /\s(\d+\.\d+[\d.]*)\s/.exec(text)?.[1] ?? 'of unknown version';
  } catch {
    return existsSync(wslDevice) ? 'of Windows' : null;
  }
}
