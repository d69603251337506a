import { execFile } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { nvidiaDriver } from '../../src/network/store/tensorflow/nvidia-driver.ts';
import { sharedDir } from '../support/shared.ts';
import { hasTensorflow } from '../support/tensorflow.ts';

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function bench(...flags: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['dist/bench/gpu-run.js', ...flags], (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

describe('npm run bench:gpu', () => {
  it.skipIf(nvidiaDriver() !== null)('without a GPU says so, and lists what it would measure', async () => {
    const { code, stdout } = await bench();
    expect(code).toBe(0);
    const [first, ...cases] = stdout.trimEnd().split('\n');
    expect(first).toMatch(/^No NVIDIA GPU found .*: nothing was measured/);
    for (const network of ['dense n', 'dense s'])
      for (const precision of ['f32', 'f16'])
        expect(cases).toContain(
          `- ${network} (random weights): tensorflow on cuda, ${precision}, batches of 1, 2, 4, 8, 16, 32`,
        );
  });

  it.skipIf(!hasTensorflow || sharedDir === null)(
    'with --cpu measures a small network in both precisions (needs tensorflow and ../shared)',
    async () => {
      const { code, stdout } = await bench('--cpu', '--seconds', '1');
      expect(code).toBe(0);
      expect(stdout).toMatch(/these figures say nothing about a GPU/);
      for (const batch of [1, 2]) {
        const figure = '[\\d.]+';
        const cells = `${figure} ms +${figure} fps +${figure} ms +${figure} fps +${figure}`;
        expect(stdout).toMatch(new RegExp(`dense n +${batch} +${cells}`));
      }
    },
  );

  it('refuses a length that is no number', async () => {
    const { code, stderr } = await bench('--seconds', 'long');
    expect(code).toBe(2);
    expect(stderr).toBe('--seconds: expected a number from 1 to 600, received "long"\n');
  });
});
