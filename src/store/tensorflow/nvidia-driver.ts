import { existsSync, readFileSync } from 'node:fs';

/** Version of the kernel driver. Under WSL the driver belongs to Windows, and only the device below exists. */
const VERSION_FILE = '/proc/driver/nvidia/version';
const WSL_DEVICE = '/dev/dxg';

/** Returns the version of the system's NVIDIA driver; null if there is none. */
export function nvidiaDriver(versionFile = VERSION_FILE, wslDevice = WSL_DEVICE): string | null {
  try {
    const text = readFileSync(versionFile, 'utf8');
    return /\s(\d+\.\d+[\d.]*)\s/.exec(text)?.[1] ?? 'of unknown version';
  } catch {
    return existsSync(wslDevice) ? 'of Windows' : null;
  }
}
