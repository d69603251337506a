import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findFetchedPackage } from '../../src/base/process/fetched-packages.ts';
import { GraphBuilder } from '../../src/network/compile/graph-builder.ts';
import { emitOnnx } from '../../src/network/compile/onnx/emit-onnx.ts';

const at = (file: string): string => JSON.stringify(pathToFileURL(join('dist/src', file)).href);
/** Loads ONNX Runtime and makes a session, after which it has written what it writes. */
const SESSION = `const { onnxRuntime } = await import(${at('base/process/fetched-packages.js')});
const session = await onnxRuntime().InferenceSession.create(process.env.GRAPH);
await session.release();`;
const inThread = `const { Worker } = await import('node:worker_threads');
const thread = new Worker(new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(SESSION)})));
await new Promise((resolve, reject) => thread.on('error', reject).on('exit', resolve));`;

describe.skipIf(findFetchedPackage('onnxruntime-node') === null)(
  'ONNX Runtime, which sends events to its maker, keeps none',
  () => {
    let folder: string;
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'sightline-telemetry-'));
      const builder = new GraphBuilder('');
      builder.node('Relu', 'out', ['in']);
      const value = (name: string) => ({ name, type: 'f32', dims: [1] }) as const;
      const graph = builder.finish({ name: 'tiny', opset: 17, inputs: [value('in')], outputs: [value('out')] });
      writeFileSync(join(folder, 'tiny.onnx'), emitOnnx(graph));
    });
    afterEach(() => rmSync(folder, { recursive: true }));

    it.each([
      ['in the main thread', SESSION],
      [
        'in a thread of the engine',
        `(await import(${at('base/process/fetched-packages.js')})).disableTelemetry();\n${inThread}`,
      ],
      ['in a thread of the program that uses the library', inThread],
    ])('%s', (_, script) => {
      // Where CI is set, nothing is sent anyway.
      const env = { PATH: process.env.PATH, HOME: folder, TMPDIR: folder, GRAPH: join(folder, 'tiny.onnx') };
      const args = ['--input-type=module', '--eval', script];
      const { status, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
      expect([status, stderr]).toEqual([0, '']);
      expect(existsSync(join(folder, '.cache'))).toBe(false);
      expect(readdirSync(folder)).toEqual(['tiny.onnx']);
    });
  },
);
