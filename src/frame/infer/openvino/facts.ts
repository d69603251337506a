import type { OpenvinoDevice, OpenvinoFacts } from '../../../base/core/openvino-facts.ts';
import { type Handle, OpenvinoLibrary } from './library.ts';

/** Loads a library and returns its version and devices. @throws Error if it cannot be loaded. */
export function readOpenvinoFacts(path: string): OpenvinoFacts {
  const library = OpenvinoLibrary.load(path);
  const core = library.make('ov_core_create');
  try {
    return { version: library.version(), devices: deviceFacts(library, core) };
  } finally {
    library.free('ov_core_free', core);
  }
}

/**
 * Returns the devices that the library can use on this machine. To list them it loads the plugins of all kinds, which stay in
 * memory (27 MB for a GPU and an NPU that are not there).
 *
 * @param names - asks about these devices and lists none.
 * @throws OpenvinoError
 */
export function deviceFacts(
  library: OpenvinoLibrary,
  core: Handle,
  names: readonly string[] = library.devices(core),
): OpenvinoDevice[] {
  return names.map((name) => ({
    name,
    fullName: library.text('ov_core_get_property', core, name, 'FULL_DEVICE_NAME'),
    capabilities: library.text('ov_core_get_property', core, name, 'OPTIMIZATION_CAPABILITIES').trim().split(/\s+/),
  }));
}
