import { TensorflowChild } from '../infer/tensorflow/tensorflow-child.ts';
import { findBindingPlace, readSetupRecord, type SetupRecord } from '../store/tensorflow/binding-place.ts';
import { nvidiaDriver } from '../store/tensorflow/nvidia-driver.ts';
import type { Finding } from './finding.ts';

const SETUP = 'sightline setup tensorflow';
const WHAT = 'engine tensorflow';

/** What was observed when the library was loaded in its own process. */
export interface TensorflowSight {
  readonly setup: SetupRecord | 'stock';
  /** Version of the system's NVIDIA driver; null if there is none. */
  readonly driver: string | null;
  readonly version: string;
  readonly isGpu: boolean;
  readonly log: string;
}

/** Reports TensorFlow's version, its devices, CUDA and cuDNN; or what is missing and the command that installs it. */
export async function examineTensorflow(cacheDir: string): Promise<Finding[]> {
  const driver = nvidiaDriver();
  const place = findBindingPlace(cacheDir);
  if (place === null) return [{ what: WHAT, verdict: 'note', found: 'not set up', remedy: SETUP }];
  const setup = readSetupRecord(place);
  const command = `${SETUP}${driver === null ? '' : ' --gpu'}`;
  if (setup === null)
    return [{ what: WHAT, verdict: 'note', found: `tfjs-node-gpu ${place.version} has no binding`, remedy: command }];
  try {
    const child = await TensorflowChild.start({ model: null });
    const { facts, log } = child;
    await child.close();
    return tensorflowFindings({ setup, driver, log, ...facts });
  } catch (error) {
    return [{ what: WHAT, verdict: 'note', found: firstLine((error as Error).message), remedy: command }];
  }
}

/** Maps what was observed to findings. */
export function tensorflowFindings({ setup, driver, version, isGpu, log }: TensorflowSight): Finding[] {
  const gpus = [...log.matchAll(/\bname: (.+?), pci bus id[^,]*, compute capability: ([\d.]+)/g)];
  const names = [...new Set(gpus.map(([, name, capability]) => `${name} (compute capability ${capability})`))];
  const devices = isGpu ? names.join(', ') || 'a GPU' : 'CPU';
  const binding = setup === 'stock' ? 'the binding that npm downloaded' : `set up for ${setup.flavour}`;
  const library: Finding = {
    what: WHAT,
    verdict: 'ok',
    found: `TensorFlow ${version} on ${devices}; ${binding}`,
  };
  return [library, cuda(setup, driver, isGpu, log)];
}

function cuda(setup: SetupRecord | 'stock', driver: string | null, isGpu: boolean, log: string): Finding {
  const packages = setup === 'stock' ? {} : setup.packages;
  const versions = { CUDA: packages['nvidia-cuda-runtime-cu12'], cuDNN: packages['nvidia-cudnn-cu12'] };
  const found = [
    `driver ${driver ?? 'none'}`,
    ...Object.entries(versions).map(([name, version]) => `${name} ${version ?? 'not installed by the set-up'}`),
  ].join(', ');
  const finding = { what: 'CUDA for tensorflow', found };
  if (isGpu) return { ...finding, verdict: 'ok' };
  if (driver === null)
    return { ...finding, verdict: 'note', remedy: 'only needed for an NVIDIA GPU: install its driver on the system' };
  if (versions.CUDA === undefined) return { ...finding, verdict: 'note', remedy: `${SETUP} --gpu` };
  const logged = log.split('\n').findLast((line) => /cuda|gpu/i.test(line) && /^[EW]\d{4}/.test(line));
  return {
    ...finding,
    verdict: 'note',
    remedy: `TensorFlow finds no GPU: ${logged?.trim() ?? 'its log has no reason'}`,
  };
}

function firstLine(text: string): string {
  return text.split('\n')[0]!.trim();
}
