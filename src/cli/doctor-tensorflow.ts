import { TensorflowChild } from '../frame/infer/tensorflow/tensorflow-child.ts';
import { findBindingPlace, readSetupRecord, type SetupRecord } from '../network/store/tensorflow/binding-place.ts';
import { nvidiaDriver } from '../network/store/tensorflow/nvidia-driver.ts';
import { type Finding, fine, remark } from './finding.ts';

const SETUP = 'sightline setup tensorflow';
const WHAT = 'engine tensorflow';
const CUDA = 'CUDA for tensorflow';

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
  if (place === null) return [remark(WHAT, 'not set up', SETUP)];
  const setup = readSetupRecord(place);
  const command = `${SETUP}${driver === null ? '' : ' --gpu'}`;
  if (setup === null) return [remark(WHAT, `tfjs-node-gpu ${place.version} has no binding`, command)];
  try {
    const child = await TensorflowChild.start({ model: null });
    const { facts, log } = child;
    await child.close();
    return tensorflowFindings({ setup, driver, log, ...facts });
  } catch (error) {
    return [remark(WHAT, firstLine((error as Error).message), command)];
  }
}

/** Maps what was observed to findings. */
export function tensorflowFindings({ setup, driver, version, isGpu, log }: TensorflowSight): Finding[] {
  const gpus = [...log.matchAll(/\bname: (.+?), pci bus id[^,]*, compute capability: ([\d.]+)/g)];
  const names = [...new Set(gpus.map(([, name, capability]) => `${name} (compute capability ${capability})`))];
  const devices = isGpu ? names.join(', ') || 'a GPU' : 'CPU';
  const binding = setup === 'stock' ? 'the binding that npm downloaded' : `set up for ${setup.flavour}`;
  return [fine(WHAT, `TensorFlow ${version} on ${devices}; ${binding}`), cuda(setup, driver, isGpu, log)];
}

function cuda(setup: SetupRecord | 'stock', driver: string | null, isGpu: boolean, log: string): Finding {
  const packages = setup === 'stock' ? {} : setup.packages;
  const versions = { CUDA: packages['nvidia-cuda-runtime-cu12'], cuDNN: packages['nvidia-cudnn-cu12'] };
  const found = [
    `driver ${driver ?? 'none'}`,
    ...Object.entries(versions).map(([name, version]) => `${name} ${version ?? 'not installed by the set-up'}`),
  ].join(', ');
  if (isGpu) return fine(CUDA, found);
  if (driver === null) return remark(CUDA, found, 'only needed for an NVIDIA GPU: install its driver on the system');
  if (versions.CUDA === undefined) return remark(CUDA, found, `${SETUP} --gpu`);
  const logged = log.split('\n').findLast((line) => /cuda|gpu/i.test(line) && /^[EW]\d{4}/.test(line));
  return remark(CUDA, found, `TensorFlow finds no GPU: ${logged?.trim() ?? 'its log has no reason'}`);
}

function firstLine(text: string): string {
  return text.split('\n')[0]!.trim();
}
