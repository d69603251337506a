import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CompiledModel, OutputTensor } from '../../src/base/core/model.ts';
import { loadEngine } from '../../src/frame/infer/engine-kinds.ts';
import type { InferenceEngine } from '../../src/frame/infer/inference-engine.ts';
import { readOpenvinoFacts } from '../../src/frame/infer/openvino/facts.ts';
import type { TensorflowEngine } from '../../src/frame/infer/tensorflow-engine.ts';
import { nvidiaDriver } from '../../src/network/store/tensorflow/nvidia-driver.ts';
import { ENGINE_NAMES } from '../../src/settings/config/engines.ts';
import type { EngineRequest } from '../../src/wire/protocol/threads.ts';
import { hasOpenvino } from '../support/openvino.ts';
import { quantisedModel } from '../support/quantised-model.ts';
import { hasTensorflow } from '../support/tensorflow.ts';
import { centernet, FAKE_ROWS, fakeModel, MAX_BATCH, request, tinyModel } from './engine-cases.ts';

/** Null if the library is not set up; then the suite is skipped. */
function tensorflowOr(model: CompiledModel | null): CompiledModel | null {
  return hasTensorflow ? model : null;
}

function openvinoOr(model: CompiledModel | null): CompiledModel | null {
  return hasOpenvino ? model : null;
}

type Outputs = Map<string, { dims: readonly number[]; data: number[] }>;

interface Case {
  readonly name: string;
  readonly engine: EngineRequest['engine'];
  readonly model: CompiledModel | null;
  readonly precision?: EngineRequest['precision'];
}

const cases: Case[] = [
  { name: 'fake', engine: 'fake', model: fakeModel() },
  { name: 'onnx with a network of three nodes', engine: 'onnx', model: tinyModel() },
  { name: 'onnx with centernet', engine: 'onnx', model: await centernet('onnx') },
  {
    name: 'tensorflow with a network of three nodes',
    engine: 'tensorflow',
    model: tensorflowOr(tinyModel('saved-model')),
  },
  { name: 'tensorflow with centernet', engine: 'tensorflow', model: tensorflowOr(await centernet('tensorflow')) },
  { name: 'openvino with a network of three nodes', engine: 'openvino', model: openvinoOr(tinyModel()) },
  {
    name: 'openvino with centernet',
    engine: 'openvino',
    model: openvinoOr(await centernet('openvino')),
    precision: 'f32',
  },
  { name: 'wasm with centernet', engine: 'wasm', model: await centernet('wasm') },
];

it('every engine has a case', () => {
  expect(new Set(cases.map(({ engine }) => engine))).toEqual(new Set(ENGINE_NAMES));
});

/** A picture that only depends on its seed, with large areas so that a detector finds something. */
function picture(seed: number, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, at) => ((at >> 9) * (17 + seed * 40) + (at % 7) * seed) & 255);
}

/** Outputs are only valid until the next call, so tests that compare must copy them. */
function copy(outputs: ReadonlyMap<string, OutputTensor>): Outputs {
  return new Map(
    Array.from(outputs, ([name, { dims, data }]) => [name, { dims: [...dims], data: Array.from(data, Number) }]),
  );
}

/** The part of every output for one picture of the batch. */
function part(outputs: Outputs, index: number, batch: number): number[] {
  return [...outputs.values()].flatMap(({ data }) =>
    data.slice((index * data.length) / batch, ((index + 1) * data.length) / batch),
  );
}

/** Networks may sum in a different order at another batch size. */
function expectNear(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  const worst = actual.reduce(
    (most, value, i) => Math.max(most, Math.abs(value - expected[i]!) / (1 + Math.abs(expected[i]!))),
    0,
  );
  expect(worst).toBeLessThan(1e-3);
}

describe.each(cases)('engine $name', ({ engine: name, model, precision = 'auto' }) => {
  const isThere = model !== null;
  let engine: InferenceEngine;
  let frameBytes = 0;

  beforeAll(async () => {
    if (model === null) return;
    engine = await loadEngine(request(name, model, { precision }));
    frameBytes = model.spec.input.width * model.spec.input.height * 3;
  });

  afterAll(() => engine?.close());

  async function run(...pictures: Uint8Array[]): Promise<Outputs> {
    const buffer = engine.inputBuffer(pictures.length);
    pictures.forEach((pixels, i) => {
      buffer.set(pixels, i * frameBytes);
    });
    return copy(await engine.infer(pictures.length));
  }

  it.runIf(isThere)('reports its engine, device and precision correctly', () => {
    const { info } = engine;
    expect(info.engine).toBe(name);
    for (const text of [info.provider, info.device, info.precision]) expect(text).not.toBe('');
    expect(info.warmMs).toHaveLength(info.batchSizes.length);
    for (const ms of info.warmMs) expect(ms).toBeGreaterThan(0);
  });

  it.runIf(isThere)('has increasing batch sizes, from one frame to at most the limit', () => {
    const { batchSizes } = engine.info;
    expect(batchSizes.length).toBeGreaterThan(0);
    expect(batchSizes).toEqual([...new Set(batchSizes)].sort((a, b) => a - b));
    expect(batchSizes[0]).toBe(1);
    expect(batchSizes.at(-1)).toBeLessThanOrEqual(MAX_BATCH);
  });

  it.runIf(isThere)('returns plain memory of exactly the size of each batch', () => {
    for (const size of engine.info.batchSizes) {
      const buffer = engine.inputBuffer(size);
      expect(buffer).toBeInstanceOf(Uint8Array);
      expect(buffer.length).toBe(size * frameBytes);
      expect(buffer.buffer).toBeInstanceOf(ArrayBuffer);
    }
  });

  it.runIf(isThere)('rejects a batch size that was not warmed up', async () => {
    for (const size of [0, 1.5, 3, MAX_BATCH + 1]) {
      if (engine.info.batchSizes.includes(size)) continue;
      expect(() => engine.inputBuffer(size)).toThrow(RangeError);
      await expect(engine.infer(size)).rejects.toThrow(RangeError);
    }
  });

  it.runIf(isThere)('returns outputs whose first axis is the batch, without NaN', async () => {
    for (const size of engine.info.batchSizes) {
      const outputs = await run(...Array.from({ length: size }, (_, i) => picture(i, frameBytes)));
      expect(outputs.size).toBeGreaterThan(0);
      for (const { dims, data } of outputs.values()) {
        expect(dims[0]).toBe(size);
        expect(data.length).toBe(dims.reduce((product, dim) => product * dim, 1));
        expect(data.every(Number.isFinite)).toBe(true);
      }
    }
  });

  it.runIf(isThere)('returns the same result for a picture at every position of every batch', async () => {
    const alone = part(await run(picture(1, frameBytes)), 0, 1);
    for (const size of engine.info.batchSizes) {
      for (let place = 0; place < size; place++) {
        const others = Array.from({ length: size }, (_, i) => picture(i === place ? 1 : i + 2, frameBytes));
        expectNear(part(await run(...others), place, size), alone);
      }
    }
  });

  it.runIf(isThere)('carries no state from one call to the next', async () => {
    const [first, other, again] = [
      await run(picture(1, frameBytes)),
      await run(picture(3, frameBytes)),
      await run(picture(1, frameBytes)),
    ];
    expect(again).toEqual(first);
    if (name !== 'fake') expect(part(other, 0, 1)).not.toEqual(part(first, 0, 1));
  });

  it.runIf(isThere && name === 'tensorflow')('holds no tensor between two calls', async () => {
    for (let i = 0; i < 4; i++) await run(picture(i, frameBytes));
    expect((engine as TensorflowEngine).usage.numTensors).toBe(0);
  });

  it.runIf(isThere && name === 'wasm')('holds the same number of tensors after its calls as before', async () => {
    const { memory } = await import('@tensorflow/tfjs-core');
    await run(picture(1, frameBytes));
    const before = memory().numTensors;
    for (let i = 0; i < 4; i++) await run(picture(i, frameBytes));
    expect(memory().numTensors).toBe(before);
  });

  it.runIf(isThere)('accepts callsInFlight calls before the first resolves, and resolves them in order', async () => {
    const { callsInFlight } = engine.info;
    const alone: number[][] = [];
    for (let i = 0; i < callsInFlight; i++) alone.push(part(await run(picture(i + 1, frameBytes)), 0, 1));
    const answered: number[] = [];
    const buffers: Uint8Array[] = [];
    const calls = alone.map(async (_, i) => {
      const buffer = engine.inputBuffer(1);
      buffer.set(picture(i + 1, frameBytes));
      buffers.push(buffer);
      const outputs = copy(await engine.infer(1));
      answered.push(i);
      return part(outputs, 0, 1);
    });
    expect(answered).toEqual([]);
    for (const [i, buffer] of buffers.entries()) {
      expect(Buffer.compare(buffer, picture(i + 1, frameBytes)), 'memory of a running call is not returned again').toBe(
        0,
      );
    }
    for (const [i, outputs] of (await Promise.all(calls)).entries()) expectNear(outputs, alone[i]!);
    expect(answered).toEqual(alone.map((_, i) => i));
  });

  it.runIf(isThere)('can be closed twice', async () => {
    const own = await loadEngine(request(name, model!, { maxBatch: 1 }));
    await own.close();
    await own.close();
  });

  it.runIf(isThere)('uses the batch sizes found by another thread', async () => {
    const own = await loadEngine(request(name, model!, { batchSizes: [1] }));
    expect(own.info.batchSizes[0]).toBe(1);
    expect(own.inputBuffer(1)).toHaveLength(frameBytes);
    await own.close();
  });
});

describe('what an engine computes', () => {
  it('fake: the configured boxes, for every frame', async () => {
    const engine = await loadEngine(request('fake', fakeModel()));
    const rows = (await engine.infer(2)).get('rows')!;
    expect(rows.dims).toEqual([2, 2, 6]);
    expect(Array.from(rows.data as Float32Array)).toEqual([...FAKE_ROWS, ...FAKE_ROWS]);
  });

  it.each([
    { name: 'onnx', format: 'onnx', isThere: true },
    { name: 'openvino', format: 'onnx', isThere: hasOpenvino },
    { name: 'tensorflow', format: 'saved-model', isThere: hasTensorflow },
  ] as const)('$name: the mean colour of each picture, as arithmetic has it', async ({ name, format, isThere }) => {
    if (!isThere) return;
    const model = tinyModel(format);
    const engine = await loadEngine(request(name, model, { batchSizes: [1, 2] }));
    const bytes = model.spec.input.width * model.spec.input.height * 3;
    const pictures = [picture(1, bytes), picture(2, bytes)];
    const buffer = engine.inputBuffer(2);
    pictures.forEach((pixels, i) => {
      buffer.set(pixels, i * bytes);
    });
    const expected = pictures.flatMap((pixels) =>
      [0, 1, 2].map((channel) => {
        const values = [...pixels].filter((_, at) => at % 3 === channel);
        return values.reduce((sum, value) => sum + value, 0) / values.length;
      }),
    );
    const { dims, data } = (await engine.infer(2)).get('mean')!;
    expect(dims).toEqual([2, 3]);
    Array.from(data as Float32Array).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 3);
    });
    await engine.close();
  });
});

describe('an unavailable engine is an error; there is no fallback to another engine', () => {
  const unavailable = (text: string) =>
    expect.objectContaining({ code: 'ENGINE_UNAVAILABLE', message: expect.stringContaining(text) });

  it('onnx without its file', async () => {
    const model = { ...tinyModel(), path: '/nowhere/a.onnx' };
    await expect(loadEngine(request('onnx', model))).rejects.toEqual(unavailable('/nowhere/a.onnx'));
  });

  it('onnx with a network that does not take frames', async () => {
    const model = tinyModel();
    const spec = { ...model.spec, input: { ...model.spec.input, width: 13 } };
    await expect(loadEngine(request('onnx', { ...model, spec }))).rejects.toEqual(unavailable(model.path));
  });

  // Each is missing on two of the three systems; none may silently run on the CPU.
  it.each(['no-such-provider', process.platform === 'darwin' ? 'dml' : 'coreml'])(
    'onnx with provider %s, which this build lacks',
    async (provider) => {
      await expect(loadEngine(request('onnx', tinyModel(), { provider }))).rejects.toEqual(unavailable(provider));
    },
  );

  it.each([
    ['precision int8 with a file that is not quantised', tinyModel(), 'int8', 'is not quantised'],
    ['precision f32 with a file that is quantised', quantisedModel(), 'f32', 'is quantised and computed in int8'],
  ] as const)('onnx: %s', async (_, model, precision, text) => {
    await expect(loadEngine(request('onnx', model, { precision }))).rejects.toEqual(unavailable(text));
  });

  it('openvino that is not set up, with the set-up command', async () => {
    const loading = loadEngine(request('openvino', tinyModel(), { openvinoLibrary: undefined }));
    await expect(loading).rejects.toEqual(unavailable('sightline setup openvino'));
  });

  it('openvino whose library cannot be loaded', async () => {
    const loading = loadEngine(request('openvino', tinyModel(), { openvinoLibrary: '/nowhere/libopenvino_c.so' }));
    await expect(loading).rejects.toEqual(unavailable('/nowhere/libopenvino_c.so'));
  });

  it.skipIf(!hasOpenvino).each([
    ['without its file', { path: '/nowhere/a.onnx' }, '/nowhere/a.onnx'],
    ['with a SavedModel', { format: 'saved-model' as const }, 'runs ONNX files'],
    [
      'with a network of another size, which it would silently adapt',
      { spec: { ...tinyModel().spec, input: { ...tinyModel().spec.input, width: 13 } } },
      'expected frames u8 [n, 8, 13, 3], received u8 [n, 8, 12, 3]',
    ],
  ])('openvino %s', async (_, more, text) => {
    await expect(loadEngine(request('openvino', { ...tinyModel(), ...more }))).rejects.toEqual(unavailable(text));
  });

  it.skipIf(!hasOpenvino)('openvino on a missing device, with the available ones', async () => {
    const { openvinoLibrary } = request('openvino', tinyModel());
    const { devices } = readOpenvinoFacts(openvinoLibrary!);
    const missing = ['npu', 'gpu'].find((kind) => !devices.some(({ name }) => name.toLowerCase().startsWith(kind)));
    if (missing === undefined) return;
    const loading = loadEngine(request('openvino', tinyModel(), { provider: missing }));
    await expect(loading).rejects.toEqual(unavailable(`${devices[0]!.name} (${devices[0]!.fullName})`));
  });

  it('tensorflow with an ONNX file', async () => {
    await expect(loadEngine(request('tensorflow', tinyModel()))).rejects.toEqual(unavailable('runs SavedModels'));
  });

  it.skipIf(hasTensorflow)('tensorflow that is not set up, with the set-up command', async () => {
    const loading = loadEngine(request('tensorflow', tinyModel('saved-model')));
    await expect(loading).rejects.toEqual(unavailable('sightline setup tensorflow'));
  });

  it.skipIf(!hasTensorflow)('tensorflow without its folder', async () => {
    const model = { ...tinyModel('saved-model'), path: '/nowhere/a' };
    await expect(loadEngine(request('tensorflow', model))).rejects.toEqual(unavailable('/nowhere/a'));
  });

  it.skipIf(!hasTensorflow)('tensorflow with a network that does not take frames', async () => {
    const model = tinyModel('saved-model');
    const spec = { ...model.spec, input: { ...model.spec.input, width: 13 } };
    await expect(loadEngine(request('tensorflow', { ...model, spec }))).rejects.toEqual(unavailable(model.path));
  });

  it.skipIf(!hasTensorflow || nvidiaDriver() !== null)('tensorflow with provider cuda but without a GPU', async () => {
    const model = tinyModel('saved-model');
    await expect(loadEngine(request('tensorflow', model, { provider: 'cuda' }))).rejects.toEqual(
      unavailable('finds no GPU'),
    );
  });

  it('wasm with an ONNX file', async () => {
    await expect(loadEngine(request('wasm', tinyModel()))).rejects.toEqual(unavailable('Use --engine onnx'));
  });
});
