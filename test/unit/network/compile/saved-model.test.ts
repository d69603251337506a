import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CompiledModel } from '../../../../src/base/core/model.ts';
import { runCompiled } from '../../../../src/frame/runtime/model/run-compiled.ts';
import type { Graph } from '../../../../src/network/compile/graph.ts';
import { emitOnnx } from '../../../../src/network/compile/onnx/emit-onnx.ts';
import { EMISSION_RULES } from '../../../../src/network/compile/tensorflow/emission-rules.ts';
import { emitSavedModel } from '../../../../src/network/compile/tensorflow/emit-saved-model.ts';
import { hasTensorflow } from '../../../support/tensorflow.ts';
import { convolution, network, noise, number } from './networks.ts';
import { CASE_SIZE, OPERATOR_CASES, operatorGraph, pick } from './operator-cases.ts';
import { MORE_CASES, NEWER_CASES } from './operator-cases-more.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-saved-model-'));

/** A compiled model of a graph, for an engine. */
function model(format: 'onnx' | 'saved-model', graph: Graph): CompiledModel {
  const path = join(folder, `${graph.name}.${format}`);
  if (format === 'onnx') writeFileSync(path, emitOnnx(graph));
  else {
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, 'saved_model.pb'), emitSavedModel(graph));
  }
  const input = { ...CASE_SIZE, resize: { mode: 'stretch' } } as const;
  const spec = { name: 'operators', family: 'yolox', input, classes: [], nmsIou: null } as const;
  return {
    spec: { ...spec, scoreThreshold: 0, maxDetections: 1, classesPerBox: 'best' },
    format,
    path,
    precision: 'f32',
    batch: 'free',
    hash: '',
  };
}

const GRAPHS = [
  [OPERATOR_CASES, operatorGraph(OPERATOR_CASES)],
  [MORE_CASES, operatorGraph(MORE_CASES)],
  [NEWER_CASES, operatorGraph(NEWER_CASES, 20)],
] as const;

/** Four pictures: a full batch of three and a partial one. */
const frames = [1, 2, 3, 4].map((seed) =>
  Uint8Array.from(noise(CASE_SIZE.width * CASE_SIZE.height * 3, seed), (value) => (value + 1) * 127),
);

describe.skipIf(!hasTensorflow)('operators return the same on TensorFlow as on ONNX Runtime', async () => {
  const runs = await Promise.all(
    GRAPHS.map(async ([cases, graph]) => ({
      names: Object.keys(cases),
      graph,
      expected: hasTensorflow ? await runCompiled(model('onnx', graph), frames) : [],
      received: hasTensorflow ? await runCompiled(model('saved-model', graph), frames) : [],
    })),
  );
  const outputs = runs.flatMap(({ names, graph, expected, received }) =>
    names.map((name, index) => [name, { output: graph.outputs[index]!.name, expected, received }] as const),
  );

  it.each(outputs)('%s', (_, { output, expected, received }) => {
    let largest = 0;
    let difference = 0;
    for (const [picture, outputs] of expected.entries()) {
      const [wanted, got] = [outputs.get(output)!, received[picture]!.get(output)!];
      expect(got.dims).toEqual(wanted.dims);
      for (let at = 0; at < wanted.data.length; at += 1) {
        largest = Math.max(largest, Math.abs(Number(wanted.data[at])));
        difference = Math.max(difference, Math.abs(Number(wanted.data[at]) - Number(got.data[at])));
      }
    }
    expect(largest).toBeGreaterThan(0);
    expect(difference / largest).toBeLessThan(1e-5);
  });
});

describe('the emission of a SavedModel', () => {
  it('is tested with every operator that has a rule', () => {
    const tried = new Set(GRAPHS.flatMap(([, { nodes }]) => nodes.map(({ op }) => op)));
    expect([...EMISSION_RULES.keys()].filter((op) => !tried.has(op))).toEqual([]);
  });

  const refused: [string, Graph, string][] = [
    [
      'an operator without a rule',
      network(3, (builder) => builder.node('Selu', 'strange', ['images'])),
      'operator Selu of node strange cannot be written for tensorflow: this operator is not supported',
    ],
    [
      'groups of several channels',
      network(4, (builder) => convolution(builder, 'grouped', 'images', [4, 2, 3], { group: 2 })),
      'operator Conv of node grouped cannot be written for tensorflow: it has 2 groups of 2 channels',
    ],
    [
      'cubic resizing',
      network(3, (builder) => {
        const scales = builder.constant('scales', { type: 'f32', dims: [4], bytes: new Uint8Array(16) });
        return builder.node('Resize', 'cubic', ['images', '', scales], { mode: 'cubic' });
      }),
      'operator Resize of node cubic cannot be written for tensorflow: mode cubic',
    ],
    [
      'computed weights',
      network(3, (builder) => builder.node('Conv', 'wild', ['images', builder.node('Relu', 'relu', ['images'])])),
      'operator Conv of node wild cannot be written for tensorflow: input 1 is not a constant',
    ],
  ];
  it.each(refused)('reports the node and the reason: %s', (_, graph, message) => {
    expect(() => emitSavedModel(graph)).toThrow(expect.objectContaining({ code: 'COMPILE_UNSUPPORTED' }));
    expect(() => emitSavedModel(graph)).toThrow(message);
  });
});

it('weights above the 2 GB limit of one file are rejected before they are written', () => {
  const graph = operatorGraph(pick('relu'));
  const large = { type: 'f32', dims: [2 ** 29], bytes: { length: 2 ** 31 } as Uint8Array } as const;
  const constants = new Map([...graph.constants, ['large', large]] as const);
  expect(() => emitSavedModel({ ...graph, constants })).toThrow('do not fit into one SavedModel file');
});

/** TensorFlow's protobuf messages from tfjs-node, generated by another compiler; null if it is not installed. */
async function otherReader(): Promise<Reader | null> {
  try {
    const loaded = await import('@tensorflow/tfjs-node-gpu/dist/proto/api_pb.js' as string);
    return (loaded.default ?? loaded).SavedModel as Reader;
  } catch {
    console.warn('SKIPPED: @tensorflow/tfjs-node-gpu is not installed, its reader cannot be asked');
    return null;
  }
}

interface Reader {
  deserializeBinary(bytes: Uint8Array): {
    getMetaGraphsList(): {
      getMetaInfoDef(): { getTagsList(): string[] };
      getGraphDef(): { getNodeList(): { getName(): string; getOp(): string; getInputList(): string[] }[] };
      getSignatureDefMap(): {
        get(name: string): { getInputsMap(): SignatureMap; getOutputsMap(): SignatureMap; getMethodName(): string };
      };
    }[];
  };
}

interface SignatureMap {
  getEntryList(): [string, unknown[]][];
  get(name: string): {
    getName(): string;
    getDtype(): number;
    getTensorShape(): { getDimList(): { getSize(): number }[] };
  };
}

const reader = await otherReader();

describe.skipIf(reader === null)('a SavedModel, read by another reader', () => {
  const graph: Graph = {
    ...operatorGraph(pick('concat', 'reshape that joins rows and columns', 'top k, places')),
  };
  const read = () => reader!.deserializeBinary(emitSavedModel(graph)).getMetaGraphsList();

  it('has one graph with the tag serve, from frames u8 to the named outputs', () => {
    const [meta, ...others] = read();
    expect(others).toEqual([]);
    expect(meta!.getMetaInfoDef().getTagsList()).toEqual(['serve']);
    const signature = meta!.getSignatureDefMap().get('serving_default');
    const input = signature.getInputsMap().get('frames');
    expect([input.getName(), input.getDtype()]).toEqual(['frames:0', 4]);
    const sizes = input.getTensorShape().getDimList();
    expect(sizes.map((dim) => dim.getSize())).toEqual([-1, 16, 12, 3]);
    const outputs = signature.getOutputsMap();
    // Integers are i32, because TensorFlow.js has no i64.
    expect(graph.outputs.map(({ name }) => outputs.get(name).getDtype())).toEqual([1, 1, 3]);
  });

  it('has unique node names, each defined before its use', () => {
    const nodes = read()[0]!.getGraphDef().getNodeList();
    const seen = new Set<string>();
    for (const node of nodes) {
      expect(node.getName()).toMatch(/^[A-Za-z0-9.][\w.\-/>]*$/);
      expect(seen.has(node.getName())).toBe(false);
      for (const input of node.getInputList()) expect(seen).toContain(input.replace(/:\d+$/, ''));
      seen.add(node.getName());
    }
  });

  it('has no transpose between convolutions, concatenations and reshapes of rows', () => {
    const bytes = emitSavedModel(
      network(3, (builder) => {
        const features = convolution(builder, 'one', 'images', [4, 3, 3]);
        const scaled = builder.node('Mul', 'scaled', [features, number(builder, 'k', 2)]);
        const both = builder.node('Concat', 'both', [scaled, features], { axis: 1 });
        return builder.node('MaxPool', 'pool', [both], { kernel_shape: [3, 3], pads: [1, 1, 1, 1] });
      }),
    );
    const nodes = reader!.deserializeBinary(bytes).getMetaGraphsList()[0]!.getGraphDef().getNodeList();
    // One before the first convolution, because this network takes planes, and one after the last.
    expect(nodes.map((node) => node.getOp()).filter((op) => op === 'Transpose')).toHaveLength(2);
  });
});
