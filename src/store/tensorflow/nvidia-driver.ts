import { existsSync, readFileSync } from 'node:fs';

/** The kernel's side of an NVIDIA driver; under WSL Windows has it, and shows this device. */
const VERSION_FILE = '/proc/driver/nvidia/version';
const WSL_DEVICE = '/dev/dxg';

/** Version of the NVIDIA driver, which comes with the system and in no package; null where there is none. */
export function nvidiaDriver(versionFile = VERSION_FILE, wslDevice = WSL_DEVICE): string | null {
  try {
    const text = readFileSync(versionFile, 'utf8');
    return /\s(\d+\.\d+[\d.]*)\s/.exec(text)?.[1] ?? 'of unknown version';
  } catch {
    return existsSync(wslDevice) ? 'of Windows' : null;
  }
}
