import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { workerEntry } from '../../../../../src/base/core/worker-entry.ts';
import { compileInChild } from '../../../../../src/frame/runtime/model/compile-in-child.ts';
import { compileModel } from '../../../../../src/network/compile/compile-model.ts';
import type { CompileSource } from '../../../../../src/network/compile/compile-source.ts';
import { emitOnnx } from '../../../../../src/network/compile/onnx/emit-onnx.ts';
import { childrenWith, hasProc, isAlive } from '../../../../support/processes.ts';
import { waitFor } from '../../../../support/wait-for.ts';
import { source } from '../../../network/compile/layout-sources.ts';
import { convolution, network } from '../../../network/compile/networks.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-child-'));

function networkOf(name: string, bytes: Uint8Array): CompileSource {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  const input = { tensor: 'images', layout: 'nchw', range: [0, 1], width: 12, height: 16 } as const;
  return { ...source(name, { ...input, outputs: { out: 'out' }, batch: 'free' }), weightPaths: [path] };
}

const whole = emitOnnx(network(3, (builder) => convolution(builder, 'conv', 'images', [4, 3, 3])));

describe('compileInChild', () => {
  it('writes the same file as a compiler in this process', async () => {
    const good = networkOf('good.onnx', whole);
    const options = { engine: 'onnx', precision: 'f32' } as const;
    const here = await compileModel(good, { ...options, cacheDir: join(folder, 'here') });
    const there = await compileModel(good, { ...options, cacheDir: join(folder, 'there'), write: compileInChild });
    expect(there.hash).toBe(here.hash);
    expect(readFileSync(there.path).equals(readFileSync(here.path))).toBe(true);
  });

  it('fails with the code and the message of the compiler', async () => {
    const target = {
      format: 'onnx',
      size: { width: 12, height: 16 },
      batch: 1,
      precision: 'f32',
      isGated: false,
    } as const;
    const path = join(folder, 'never.onnx');
    const broken = networkOf('broken.onnx', whole.subarray(0, 100));
    await expect(compileInChild({ source: broken, target, path })).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringMatching(/^model broken: broken\.onnx: expected an ONNX file/),
      details: { model: 'broken' },
    });
    const strange = network(3, (builder) => builder.node('Selu', 'strange', ['images']));
    const unsupported = networkOf('strange.onnx', emitOnnx(strange));
    await expect(
      compileInChild({ source: unsupported, target: { ...target, format: 'saved-model' }, path }),
    ).rejects.toMatchObject({ code: 'COMPILE_UNSUPPORTED', message: expect.stringContaining('operator Selu') });
    expect(existsSync(path)).toBe(false);
  });

  it('reports why the process ended if it gave no answer', async () => {
    const target = {
      format: 'onnx',
      size: { width: 12, height: 16 },
      batch: 1,
      precision: 'f32',
      isGated: false,
    } as const;
    writeFileSync(join(folder, 'file'), '');
    const job = { source: networkOf('good.onnx', whole), target, path: join(folder, 'file', 'inside.onnx') };
    await expect(compileInChild(job)).rejects.toMatchObject({
      code: 'INTERNAL_ERROR',
      message: expect.stringMatching(/ENOTDIR|EEXIST/),
    });
  });

  it('ends when the parent process is gone', async () => {
    const child = fork(workerEntry('compile.process'), [], { execArgv: [] });
    child.disconnect();
    const [, signal] = await once(child, 'exit');
    expect(signal).toBeNull();
    expect(child.exitCode).not.toBeNull();
  });

  it.skipIf(!hasProc)('is ended by a signal, also if its process does not answer (needs /proc)', async () => {
    const path = join(folder, 'blocked.onnx');
    execFileSync('mkfifo', [path]);
    const target = { format: 'onnx', size: null, batch: 1, precision: 'f32', isGated: false } as const;
    const blocked = { ...networkOf('whole.onnx', whole), weightPaths: [path] };
    const stop = new AbortController();
    const compiling = compileInChild({ source: blocked, target, path: join(folder, 'never') } as never, stop.signal);
    const outcome = expect(compiling).rejects.toBe('enough');
    await waitFor('its process', () => childrenWith('compile.process').length > 0);
    const [pid] = childrenWith('compile.process');
    stop.abort('enough');
    await outcome;
    expect(isAlive(pid!)).toBe(false);
  });

  it.skipIf(!hasProc)('gets no variable of the environment (needs /proc)', async () => {
    const path = join(folder, 'silent.onnx');
    execFileSync('mkfifo', [path]);
    const target = { format: 'onnx', size: null, batch: 1, precision: 'f32', isGated: false } as const;
    const silent = { ...networkOf('whole.onnx', whole), weightPaths: [path] };
    const compiling = compileInChild({ source: silent, target, path: join(folder, 'never') } as never).catch(
      () => undefined,
    );
    await waitFor('its process', () => childrenWith('compile.process').length > 0);
    const [pid] = childrenWith('compile.process');
    const names = readFileSync(`/proc/${pid}/environ`, 'utf8')
      .split('\0')
      .map((line) => line.split('=')[0]);
    expect(
      names.filter((name) => name !== '' && name !== 'NODE_CHANNEL_FD' && name !== 'NODE_CHANNEL_SERIALIZATION_MODE'),
    ).toEqual([]);
    process.kill(pid!, 'SIGKILL');
    await compiling;
  });
});
