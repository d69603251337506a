import type { ComputePrecision } from '../../core/model.ts';
import type { OpenvinoDevice } from '../../core/openvino-facts.ts';
import { OpenvinoError } from './library.ts';

/** What `provider` may be, and which devices each stands for, best first. */
const DEVICE_KINDS: Readonly<Record<string, readonly string[]>> = {
  cpu: ['CPU'],
  gpu: ['GPU'],
  npu: ['NPU'],
  auto: ['GPU', 'NPU', 'CPU'],
};

/** `OPTIMIZATION_CAPABILITIES` that stands for a number format. */
const CAPABILITIES: Readonly<Record<ComputePrecision, string>> = {
  f32: 'FP32',
  bf16: 'BF16',
  f16: 'FP16',
  int8: 'INT8',
};

/**
 * Finds the device that a provider names. OpenVINO's own `AUTO` device is not used: it runs on the CPU until another device is
 * ready, so neither its warm-up times nor the precision it reports would hold.
 *
 * @throws OpenvinoError that lists the devices of this machine.
 */
export function chooseDevice(provider: string, devices: readonly OpenvinoDevice[]): OpenvinoDevice {
  const kinds = DEVICE_KINDS[provider];
  if (kinds === undefined)
    throw new OpenvinoError(`expected one of ${Object.keys(DEVICE_KINDS).join(', ')}, received ${provider}`);
  for (const kind of kinds) {
    // Several devices of one kind are GPU.0, GPU.1; the first is the one that the system prefers.
    const found = devices.find(({ name }) => name === kind || name.startsWith(`${kind}.`));
    if (found !== undefined) return found;
  }
  const there = devices.map(({ name, fullName }) => `${name} (${fullName})`).join(', ') || 'none';
  throw new OpenvinoError(`this machine has no such device. OpenVINO finds: ${there}`);
}

/**
 * Decides in which number format a device computes.
 *
 * @param asked - `auto` takes bf16 on CPUs and f16 on other devices where those are native, else f32.
 * @param isQuantised - does the model file hold INT8 numbers? Such a file is computed in int8 and nothing else.
 * @returns what to report, and OpenVINO's `INFERENCE_PRECISION_HINT` for everything that is not quantised.
 * @throws OpenvinoError where the device or the file does not have what was asked for.
 */
export function choosePrecision(
  asked: 'auto' | ComputePrecision,
  { name, capabilities }: OpenvinoDevice,
  isQuantised: boolean,
): { executed: ComputePrecision; hint: 'f32' | 'bf16' | 'f16' } {
  const isNative = (precision: ComputePrecision): boolean => capabilities.includes(CAPABILITIES[precision]);
  const preferred = name === 'CPU' ? 'bf16' : 'f16';
  const best = isNative(preferred) ? preferred : 'f32';
  if (asked === 'auto' && !isQuantised) return { executed: best, hint: best };
  const wanted = asked === 'auto' ? 'int8' : asked;
  if (!isNative(wanted))
    throw new OpenvinoError(`${name} does not compute in ${wanted}. Its formats: ${capabilities.join(', ')}`);
  return wanted === 'int8' ? { executed: wanted, hint: best } : { executed: wanted, hint: wanted };
}
