import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/store/package-root.ts';
import type { BenchContext } from './bench-context.ts';

/** Describes everything that the figures depend on besides the code. */
export function describeMachine({ ffmpeg, clip, model }: BenchContext): Record<string, string | number> {
  const root = packageRoot();
  return {
    time: new Date().toISOString(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 1e9),
    // Load of other programs: above a few tenths, the machine was not idle before the measurement.
    loadBefore: Number(loadavg()[0]!.toFixed(2)),
    system: `${platform()} ${release()} ${arch()}`,
    node: process.version,
    ffmpeg: `${ffmpeg.version} (${ffmpeg.foundBy})`,
    sightline: versionOf(join(root, 'package.json')),
    onnxruntime: packageVersion('onnxruntime-node'),
    sharp: packageVersion('sharp'),
    tfjs: packageVersion('@tensorflow/tfjs-core'),
    model,
    clip: `${clip.path.split('/').at(-1)} ${clip.width}x${clip.height}, ${clip.fps.toFixed(2)} fps, ${clip.frames} frames`,
  };
}

function packageVersion(name: string): string {
  const require = createRequire(import.meta.url);
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      return versionOf(join(folder, name, 'package.json'));
    } catch {}
  }
  return 'unknown';
}

function versionOf(path: string): string {
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
}
