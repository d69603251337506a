import { describe, expect, it } from 'vitest';
import { tensorflowFindings } from '../../../src/cli/doctor-tensorflow.ts';
import type { SetupRecord } from '../../../src/network/store/tensorflow/binding-place.ts';

const CPU: SetupRecord = { tensorflow: '2.21.0', flavour: 'cpu', packages: { 'tensorflow-cpu': '2.21.0' } };
const GPU: SetupRecord = {
  tensorflow: '2.21.0',
  flavour: 'gpu',
  packages: { tensorflow: '2.21.0', 'nvidia-cuda-runtime-cu12': '12.9.79', 'nvidia-cudnn-cu12': '9.28.0.42' },
};
/** Written by TensorFlow once per context. */
const DEVICE_LINE =
  'I0000 00:00:1.2 3 gpu_device.cc:2020] Created device /job:localhost/replica:0/task:0/device:GPU:0 with 78 MB memory:  ' +
  '-> device: 0, name: NVIDIA L4, pci bus id: 0000:00:04.0, compute capability: 8.9\n';
const CPU_LOG = 'I0000 00:00:1.2 3 cpu_feature_guard.cc:227] This TensorFlow binary is optimized\n';

describe('TensorFlow in the report of the doctor', () => {
  it('has the name of the GPU, CUDA, cuDNN and the driver', () => {
    const sight = { setup: GPU, driver: '570.86.15', version: '2.21.0', isGpu: true, log: DEVICE_LINE + DEVICE_LINE };
    const [library, cuda] = tensorflowFindings(sight);
    expect(library).toMatchObject({ verdict: 'ok' });
    expect(library!.found).toBe('TensorFlow 2.21.0 on NVIDIA L4 (compute capability 8.9); set up for gpu');
    expect(cuda).toMatchObject({ verdict: 'ok', found: 'driver 570.86.15, CUDA 12.9.79, cuDNN 9.28.0.42' });
  });

  it('names the set-up command if there is a driver but TensorFlow is for CPUs', () => {
    const [library, cuda] = tensorflowFindings({
      setup: CPU,
      driver: '570.86.15',
      version: '2.21.0',
      isGpu: false,
      log: CPU_LOG,
    });
    expect(library!.found).toContain('on CPU');
    expect(cuda).toMatchObject({ verdict: 'note', remedy: 'sightline setup tensorflow --gpu' });
  });

  it('quotes the log of TensorFlow if everything is installed but it finds no GPU', () => {
    const log = `${CPU_LOG}E0000 00:00:1.2 3 cuda_platform.cc:52] failed call to cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH\n`;
    const [, cuda] = tensorflowFindings({ setup: GPU, driver: '450.1', version: '2.21.0', isGpu: false, log });
    expect(cuda!.remedy).toContain('CUDA_ERROR_SYSTEM_DRIVER_MISMATCH');
  });

  it('is not a failure without a GPU', () => {
    const [library, cuda] = tensorflowFindings({
      setup: CPU,
      driver: null,
      version: '2.21.0',
      isGpu: false,
      log: CPU_LOG,
    });
    expect(library).toMatchObject({ verdict: 'ok' });
    expect(cuda).toMatchObject({ verdict: 'note', found: expect.stringContaining('driver none') });
  });
});
