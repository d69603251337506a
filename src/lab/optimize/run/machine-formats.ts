import { findOpenvino } from '../../../network/store/openvino/openvino-place.ts';
import { probeOpenvino } from '../../../network/store/openvino/probe-openvino.ts';
import { findBindingPlace, readSetupRecord } from '../../../network/store/tensorflow/binding-place.ts';
import { nvidiaDriver } from '../../../network/store/tensorflow/nvidia-driver.ts';
import { toolRunner } from '../../../network/store/wheels/run-tool.ts';
import type { QuantisedEngine } from '../../../settings/config/engines.ts';
import type { Environment } from '../../../settings/config/environment.ts';
import type { EngineFormat } from '../levers/levers.ts';

/** What the engines of this machine compute. */
export interface MachineFormats {
  /** Formats that are computed natively, INT8 excluded: it needs a quantised file. */
  readonly formats: readonly EngineFormat[];
  /** Whether an engine runs on an NVIDIA GPU. */
  readonly isOnGpu: boolean;
  /** Engines that compute INT8 where a quantised file exists. */
  readonly int8Engines: readonly QuantisedEngine[];
  /** Versions of engines that are not npm packages. */
  readonly versions: Readonly<Record<string, string>>;
}

/** OpenVINO's names of number formats, best first. */
const OPENVINO_FORMATS = [
  ['BF16', 'bf16'],
  ['FP16', 'f16'],
  ['FP32', 'f32'],
] as const;

/** Finds the engines and number formats of this machine. An engine that is set up and does not load is reported and left out. */
export async function machineFormats(
  environment: Environment,
  note: (text: string) => void,
  signal: AbortSignal,
): Promise<MachineFormats> {
  const formats: EngineFormat[] = [{ engine: 'onnx', precision: 'f32' }];
  const int8Engines: QuantisedEngine[] = ['onnx'];
  const versions: Record<string, string> = {};
  const place = findOpenvino(environment);
  if (place !== null) {
    try {
      const { version, devices } = await probeOpenvino(place.libraryPath, toolRunner(signal));
      const capabilities = devices.find(({ name }) => name === 'CPU')?.capabilities ?? [];
      // f16 is worth a try only where bf16 is missing: CPUs that have both compute them at the same rate.
      const hasBf16 = capabilities.includes('BF16');
      for (const [name, precision] of OPENVINO_FORMATS)
        if (capabilities.includes(name) && !(precision === 'f16' && hasBf16))
          formats.push({ engine: 'openvino', precision });
      if (capabilities.includes('INT8')) int8Engines.push('openvino');
      versions.openvino = version;
    } catch (error) {
      signal.throwIfAborted();
      note(`engine openvino is set up and does not load, so it is not tried: ${(error as Error).message}`);
    }
  }
  const isOnGpu = hasTensorflowOnGpu(environment.cacheDir);
  if (isOnGpu) formats.push({ engine: 'tensorflow', precision: 'f32' }, { engine: 'tensorflow', precision: 'f16' });
  return { formats, isOnGpu, int8Engines, versions };
}

function hasTensorflowOnGpu(cacheDir: string): boolean {
  const place = nvidiaDriver() === null ? null : findBindingPlace(cacheDir);
  return place !== null && readSetupRecord(place) !== null;
}
