import { SightlineError } from '../../errors/sightline-error.ts';
import { chooseDevice } from '../../infer/openvino/device.ts';
import { probeOpenvino } from '../../store/openvino/probe-openvino.ts';
import { reasonOf, toolRunner } from '../../store/wheels/run-tool.ts';

/**
 * Resolves provider `auto` for this machine: the first of `gpu`, `npu`, `cpu` that OpenVINO finds.
 *
 * @throws ENGINE_UNAVAILABLE if the library cannot be loaded.
 */
export async function bestDevice(libraryPath: string): Promise<'gpu' | 'npu' | 'cpu'> {
  try {
    const { devices } = await probeOpenvino(libraryPath, toolRunner(new AbortController().signal));
    return chooseDevice('auto', devices).name.split('.')[0]!.toLowerCase() as 'gpu' | 'npu' | 'cpu';
  } catch (error) {
    const message = `engine openvino cannot load ${libraryPath}: ${reasonOf(error)}`;
    throw new SightlineError('ENGINE_UNAVAILABLE', message, {}, { cause: error });
  }
}
