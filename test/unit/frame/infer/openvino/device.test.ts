import { describe, expect, it } from 'vitest';
import type { OpenvinoDevice } from '../../../../../src/base/core/openvino-facts.ts';
import { chooseDevice, choosePrecision } from '../../../../../src/frame/infer/openvino/device.ts';

const xeon: OpenvinoDevice = { name: 'CPU', fullName: 'Xeon', capabilities: ['FP32', 'BF16', 'FP16', 'INT8'] };
const atom: OpenvinoDevice = { name: 'CPU', fullName: 'Atom', capabilities: ['FP32', 'INT8', 'BIN'] };
const arc: OpenvinoDevice = { name: 'GPU.0', fullName: 'Arc', capabilities: ['FP32', 'FP16', 'INT8'] };
const npu: OpenvinoDevice = { name: 'NPU', fullName: 'AI Boost', capabilities: ['FP16', 'INT8'] };

describe('chooseDevice', () => {
  it.each([
    ['cpu', [arc, xeon], xeon],
    ['gpu', [xeon, arc, { ...arc, name: 'GPU.1' }], arc],
    ['npu', [xeon, npu], npu],
    ['auto', [xeon, npu, arc], arc],
    ['auto', [xeon, npu], npu],
    ['auto', [xeon], xeon],
  ])('%s of %j', (provider, devices, expected) => {
    expect(chooseDevice(provider, devices)).toBe(expected);
  });

  it('lists the available devices if the requested one is missing', () => {
    expect(() => chooseDevice('gpu', [atom, npu])).toThrow('CPU (Atom), NPU (AI Boost)');
  });

  it('rejects a provider of another engine', () => {
    expect(() => chooseDevice('cuda', [xeon])).toThrow('expected one of cpu, gpu, npu, auto, received cuda');
  });
});

describe('choosePrecision', () => {
  it.each([
    ['bf16 on a CPU that supports it', xeon, 'bf16'],
    ['f32 on a CPU with f16 but without bf16', { ...xeon, capabilities: ['FP32', 'FP16'] }, 'f32'],
    ['f32 on any other CPU', atom, 'f32'],
    ['f16 on a GPU', arc, 'f16'],
    ['f16 on an NPU', npu, 'f16'],
  ])('auto chooses %s', (_, device, expected) => {
    expect(choosePrecision('auto', device, false)).toEqual({ executed: expected, hint: expected });
  });

  it('a quantised file is computed in int8, its other layers in the precision of auto', () => {
    expect(choosePrecision('auto', xeon, true)).toEqual({ executed: 'int8', hint: 'bf16' });
    expect(choosePrecision('int8', atom, true)).toEqual({ executed: 'int8', hint: 'f32' });
  });

  it.each([
    ['bf16', atom],
    ['bf16', arc],
    ['f16', atom],
    ['f32', npu],
  ] as const)('%s is refused by a device without it: %j', (precision, device) => {
    expect(() => choosePrecision(precision, device, false)).toThrow(
      `${device.name} does not compute in ${precision}. Its formats: ${device.capabilities.join(', ')}`,
    );
  });

  it('auto never reports int8 on a device that does not support it', () => {
    expect(() => choosePrecision('auto', { ...xeon, capabilities: ['FP32'] }, true)).toThrow('int8');
  });
});
