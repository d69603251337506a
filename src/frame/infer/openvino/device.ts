import type { ComputePrecision } from '../../../base/core/model.ts';
import type { OpenvinoDevice } from '../../../base/core/openvino-facts.ts';
import { OpenvinoError } from './library.ts';

/** Kinds of devices for each value of `provider`, best first. */
const DEVICE_KINDS: Readonly<Record<string, readonly string[]>> = {
  cpu: ['CPU'],
  gpu: ['GPU'],
  npu: ['NPU'],
  auto: ['GPU', 'NPU', 'CPU'],
};

/** Name of each number format in `OPTIMIZATION_CAPABILITIES`. */
const CAPABILITIES: Readonly<Record<ComputePrecision, string>> = {
  f32: 'FP32',
  bf16: 'BF16',
  f16: 'FP16',
  int8: 'INT8',
};

/**
 * Finds the device for a provider. OpenVINO's `AUTO` device is not used: it runs on the CPU until another device is ready, so
 * its warm-up times and its reported precision would be wrong later.
 *
 * @throws OpenvinoError, which lists the devices of this machine.
 */
export function chooseDevice(provider: string, devices: readonly OpenvinoDevice[]): OpenvinoDevice {
  const kinds = DEVICE_KINDS[provider];
  if (kinds === undefined)
    throw new OpenvinoError(`expected one of ${Object.keys(DEVICE_KINDS).join(', ')}, received ${provider}`);
  for (const kind of kinds) {
    // Several devices of one kind are named GPU.0, GPU.1; the first is the system's preferred one.
    const found = devices.find(({ name }) => name === kind || name.startsWith(`${kind}.`));
    if (found !== undefined) return found;
  }
  const available = devices.map(({ name, fullName }) => `${name} (${fullName})`).join(', ') || 'none';
  throw new OpenvinoError(`this machine has no such device. OpenVINO finds: ${available}`);
}

/**
 * Chooses the number format that a device computes in.
 *
 * @param requested - `auto` chooses bf16 on CPUs and f16 on other devices if the device supports it natively, else f32.
 * @param isQuantised - whether the model file is quantised to INT8. Such a file is always computed in int8.
 * @returns the precision to report, and OpenVINO's `INFERENCE_PRECISION_HINT` for the layers that are not quantised.
 * @throws OpenvinoError if the device does not support the requested precision.
 */
export function choosePrecision(
  requested: 'auto' | ComputePrecision,
  { name, capabilities }: OpenvinoDevice,
  isQuantised: boolean,
): { executed: ComputePrecision; hint: 'f32' | 'bf16' | 'f16' } {
  const isNative = (precision: ComputePrecision): boolean => capabilities.includes(CAPABILITIES[precision]);
  const preferred = name === 'CPU' ? 'bf16' : 'f16';
  const best = isNative(preferred) ? preferred : 'f32';
  if (requested === 'auto' && !isQuantised) return { executed: best, hint: best };
  const wanted = requested === 'auto' ? 'int8' : requested;
  if (!isNative(wanted))
    throw new OpenvinoError(`${name} does not compute in ${wanted}. Its formats: ${capabilities.join(', ')}`);
  return wanted === 'int8' ? { executed: wanted, hint: best } : { executed: wanted, hint: wanted };
}
