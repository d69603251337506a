import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { nvidiaDriver } from '../../../../../src/network/store/tensorflow/nvidia-driver.ts';

describe('nvidiaDriver', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sightline-driver-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each([
    ['570.86.15', 'NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs-builder)\n'],
    ['535.183.01', 'NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n'],
  ])("reads %s from the kernel module's version file", (version, text) => {
    const path = join(folder, version);
    writeFileSync(path, text);
    expect(nvidiaDriver(path, '/nowhere')).toBe(version);
  });

  it('recognises the device of WSL, and a system without a driver', () => {
    expect(nvidiaDriver('/nowhere', folder)).toBe('of Windows');
    expect(nvidiaDriver('/nowhere', '/nowhere')).toBeNull();
  });
});
