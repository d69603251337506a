import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { CompiledModel } from '../../../../src/base/core/model.ts';
import type { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { runCompiled } from '../../../../src/frame/runtime/model/run-compiled.ts';
import { type CompileOptions, compileModel } from '../../../../src/network/compile/compile-model.ts';
import { MINI_SIZE, writeMiniCenternet } from './mini-centernet.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-artefacts-'));
afterAll(() => rmSync(folder, { recursive: true }));
const source = writeMiniCenternet(join(folder, 'mini'));
const frame = Uint8Array.from({ length: MINI_SIZE.width * MINI_SIZE.height * 3 }, (_, at) => (at * 7) & 255);

let caches = 0;
let damaged: SightlineError[];
let options: CompileOptions;
beforeEach(() => {
  damaged = [];
  options = {
    engine: 'onnx',
    precision: 'f32',
    cacheDir: join(folder, `cache-${caches++}`),
    onDamaged: (error) => damaged.push(error),
  };
});

/** Inverts 200 bytes in the middle of a file: of weights, so that a library loads it without a complaint. */
function flipBytes(path: string): void {
  const bytes = readFileSync(path);
  const at = Math.floor(bytes.length / 2);
  for (let i = at; i < at + 200; i += 1) bytes[i]! ^= 255;
  writeFileSync(path, bytes);
}

async function outputOf(model: CompiledModel): Promise<number[]> {
  const [outputs] = await runCompiled(model, [frame]);
  return [...outputs!.values()].flatMap(({ data }) => Array.from(data, Number));
}

describe('a compiled model in the cache', () => {
  it('of which the disk changed 200 bytes is compiled again, reported once, and never used', async () => {
    const first = await compileModel(source, options);
    const [bytes, output] = [readFileSync(first.path), await outputOf(first)];
    flipBytes(first.path);
    const again = await compileModel(source, options);
    expect(readFileSync(again.path).equals(bytes)).toBe(true);
    expect(await outputOf(again)).toEqual(output);
    expect(damaged.map(({ code, message }) => [code, message])).toEqual([
      ['MODEL_INTEGRITY', expect.stringContaining(`${first.path}: the compiled model has changed on the disk`)],
    ]);
    await compileModel(source, options);
    expect(damaged).toHaveLength(1);
  });

  it.each([
    ['shorter', (path: string) => writeFileSync(path, readFileSync(path).subarray(0, -1))],
    ['empty', (path: string) => writeFileSync(path, '')],
    ['longer', (path: string) => writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from([0])]))],
  ])('that became %s is compiled again', async (_, damage) => {
    const { path } = await compileModel(source, options);
    const bytes = readFileSync(path);
    damage(path);
    await compileModel(source, options);
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(damaged).toHaveLength(1);
  });

  it('that nobody recorded a hash of is compiled again, which is no damage', async () => {
    const { path } = await compileModel(source, options);
    rmSync(`${path}.sha256`);
    flipBytes(path);
    await compileModel(source, options);
    expect(damaged).toEqual([]);
    expect(existsSync(`${path}.sha256`)).toBe(true);
  });

  it('is used without compiling while it is intact', async () => {
    await compileModel(source, options);
    const write = (): Promise<void> => Promise.reject(new Error('compiled'));
    await expect(compileModel(source, { ...options, write })).resolves.toMatchObject({ format: 'onnx' });
  });

  it('that does not stay as it was written is an error', async () => {
    const write = async (job: { readonly path: string }): Promise<void> => {
      mkdirSync(join(options.cacheDir, 'compiled'), { recursive: true });
      writeFileSync(job.path, 'other bytes');
      writeFileSync(`${job.path}.sha256`, `${'0'.repeat(64)}\n`);
    };
    await expect(compileModel(source, { ...options, write })).rejects.toMatchObject({
      code: 'MODEL_INTEGRITY',
      message: expect.stringMatching(/damaged right after it was written/),
    });
  });

  it('of the tensorflow engine is a folder whose content is checked', async () => {
    const own: CompileOptions = { ...options, engine: 'tensorflow' };
    const { path, files } = await compileModel(source, own);
    expect(files).toEqual([{ path: join(path, 'saved_model.pb'), sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }]);
    const bytes = readFileSync(files![0]!.path);
    flipBytes(files![0]!.path);
    await compileModel(source, own);
    expect(readFileSync(files![0]!.path).equals(bytes)).toBe(true);
    expect(damaged).toHaveLength(1);
  });
});

describe('an engine', () => {
  it.each(['onnx', 'wasm'] as const)(
    '%s does not load a file that changed since it was found intact',
    async (engine) => {
      // The wasm engine loads the published files.
      const own = writeMiniCenternet(join(folder, `published-${engine}`));
      const model = await compileModel(own, { ...options, engine });
      const { path } = model.files!.at(-1)!;
      flipBytes(path);
      await expect(runCompiled(model, [frame])).rejects.toMatchObject({
        code: 'MODEL_INTEGRITY',
        message: expect.stringContaining(path),
      });
      rmSync(path);
      await expect(runCompiled(model, [frame])).rejects.toMatchObject({ code: 'MODEL_INVALID' });
    },
  );
});
