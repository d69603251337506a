import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { FETCHED_VERSIONS } from '../../base/process/fetched-packages.ts';
import type { FfmpegBinary } from '../../frame/decode/ffmpeg-binary.ts';
import { packageRoot } from '../../network/store/package-root.ts';
import { nvidiaDriver, nvidiaGpus } from '../../network/store/tensorflow/nvidia-driver.ts';

/** Everything that figures depend on besides the configuration. */
export interface MachineFacts {
  readonly cpuModel: string;
  readonly cores: number;
  readonly memoryBytes: number;
  /** Names of the NVIDIA GPUs. */
  readonly gpus: readonly string[];
  /** Operating system, version and architecture. */
  readonly system: string;
  /** By program or library: node, sightline, ffmpeg, the engines. */
  readonly versions: Readonly<Record<string, string>>;
}

/** npm packages whose version changes figures, and their names in records. */
const PACKAGES: Readonly<Record<string, string>> = {
  sharp: 'sharp',
  tfjs: '@tensorflow/tfjs-core',
};

/** @param others - versions of what is not an npm package, such as OpenVINO. */
export function machineFacts(
  ffmpeg: Pick<FfmpegBinary, 'version'>,
  others: Readonly<Record<string, string>> = {},
): MachineFacts {
  const driver = nvidiaDriver();
  const packages = Object.entries(PACKAGES).map(([name, npmName]) => [name, packageVersion(npmName)]);
  return {
    cpuModel: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    gpus: nvidiaGpus(),
    system: `${platform()} ${release()} ${arch()}`,
    versions: {
      node: process.version,
      sightline: versionOf(join(packageRoot(), 'package.json')),
      ffmpeg: ffmpeg.version,
      onnxruntime: FETCHED_VERSIONS['onnxruntime-node'],
      ...Object.fromEntries(packages),
      ...(driver === null ? {} : { 'nvidia driver': driver }),
      ...others,
    },
  };
}

function packageVersion(name: string): string {
  const require = createRequire(import.meta.url);
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      return versionOf(join(folder, name, 'package.json'));
    } catch {
      // It may be in a folder further up.
    }
  }
  return 'not installed';
}

function versionOf(path: string): string {
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}
