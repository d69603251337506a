import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { PublishedFrame } from '../../src/base/core/frame.ts';
import type { FakeDetect } from '../../src/frame/runtime/stream/stream-port.ts';
import { conservationGap } from '../../src/frame/telemetry/stream-telemetry.ts';
import { ELEMENTS, f32Tensor } from '../../src/network/compile/graph.ts';
import { GraphBuilder } from '../../src/network/compile/graph-builder.ts';
import { emitOnnx } from '../../src/network/compile/onnx/emit-onnx.ts';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import type { EventMessage } from '../../src/wire/protocol/feed.ts';
import { lookGap, type SecondStageReport } from '../../src/wire/protocol/second-stage-report.ts';
import { testFfmpeg } from './made-videos.ts';
import { modelPlaces } from './model-places.ts';

/** A manifest of a classifier in YAML. @param file - without one only the fake engine runs it. */
export function writeClassifier(
  folder: string,
  name: string,
  classes: readonly string[],
  file = 'none.onnx',
  more: { readonly outputs?: object; readonly input?: object } = {},
): string {
  const path = join(folder, `${name}.yaml`);
  const manifest = {
    name,
    family: 'heads',
    description: 'A classifier.',
    licence: null,
    reported: null,
    format: 'onnx',
    files: [{ name: basename(file), sha256: null, sources: [`file:${file}`] }],
    input: {
      tensor: 'input',
      layout: 'nchw',
      width: 16,
      height: 16,
      colours: 'rgb',
      range: [0, 1],
      resize: { mode: 'stretch', kernel: 'linear' },
      ...more.input,
    },
    outputs: more.outputs ?? { [name]: 'mean' },
    batch: 'free',
    classes,
    nmsIou: null,
    scoreThreshold: 0.3,
    maxDetections: 1,
  };
  writeFileSync(path, JSON.stringify(manifest));
  return path;
}

/** A network that says which of red, green and blue a picture has most of: logits [n, 3]. */
export function writeColourNetwork(folder: string): string {
  const builder = new GraphBuilder('');
  builder.node('ReduceMean', 'mean', ['input'], { axes: [2, 3], keepdims: 0 });
  const graph = builder.finish({
    name: 'colours',
    opset: 17,
    inputs: [{ name: 'input', type: 'f32', dims: ['n', 3, 16, 16] }],
    outputs: [{ name: 'mean', type: 'f32', dims: ['n', 3] }],
  });
  writeFileSync(join(folder, 'colours.onnx'), emitOnnx(graph));
  return 'colours.onnx';
}

/** A network for black pictures only: any other is out of the bounds of its table, so each look at one fails. */
export function writeBlackNetwork(folder: string): string {
  const builder = new GraphBuilder('');
  const mean = builder.node('ReduceMean', 'brightness', ['input'], { axes: [2, 3], keepdims: 0 });
  const place = builder.node(
    'Cast',
    'place',
    [builder.node('Mul', 'hundredths', [mean, builder.constant('hundred', f32Tensor([1], [100]))])],
    { to: ELEMENTS.i64.onnx },
  );
  builder.node('Gather', 'mean', [builder.constant('table', f32Tensor([1], [0])), place], { axis: 0 });
  const graph = builder.finish({
    name: 'black',
    opset: 17,
    inputs: [{ name: 'input', type: 'f32', dims: ['n', 3, 16, 16] }],
    outputs: [{ name: 'mean', type: 'f32', dims: ['n', 3] }],
  });
  writeFileSync(join(folder, 'black.onnx'), emitOnnx(graph));
  return 'black.onnx';
}

/** A clip whose left third is red, middle green and right blue. */
export function makeColourClip(path: string, frames = 100): string {
  const thirds = ['red', 'lime', 'blue'].map((colour) => `color=${colour}:s=120x180:r=25`);
  const inputs = thirds.flatMap((third) => ['-f', 'lavfi', '-i', third]);
  execFileSync(testFfmpeg.path, [
    ...['-hide_banner', '-loglevel', 'error', '-nostdin', '-y', ...inputs, '-filter_complex', 'hstack=inputs=3'],
    ...['-frames:v', String(frames), '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', path],
  ]);
  return path;
}

/** A host with second stages, whose boxes a test gives, or a detector that it names. */
export class StagedHost {
  readonly frames: PublishedFrame[] = [];
  readonly events: EventMessage[] = [];
  readonly host: PipelineHost;
  readonly #parts: object;

  private constructor(host: PipelineHost, parts: object) {
    this.host = host;
    this.#parts = parts;
    host.onPublished((frame) => this.frames.push(frame));
    host.onEvent((event) => this.events.push(event));
  }

  static async open(cacheDir: string, given: object, fakeDetect?: FakeDetect): Promise<StagedHost> {
    const model = { engine: 'fake', inputSize: '64x64', threads: 1, fake: { callMs: 1 } };
    const parts = { name: 'staged', description: 'With second stages.', lanes: 1, model, ...given };
    const environment = {
      ffmpegPath: testFfmpeg.path,
      searchPath: '',
      token: undefined,
      cacheDir,
      modelPath: modelPlaces.modelPath,
    };
    const host = await PipelineHost.open(parsePipeline(JSON.stringify(parts), 'test'), {
      environment,
      stdout: process.stdout,
      onNotice: () => undefined,
      admit: async () => undefined,
      fakeDetect,
    });
    return new StagedHost(host, parts);
  }

  reload(given: object): Promise<unknown> {
    return this.host.reload(parsePipeline(JSON.stringify({ ...this.#parts, ...given }), 'test'));
  }

  of(id: string): PublishedFrame[] {
    return this.frames.filter(({ streamId }) => streamId === id);
  }

  /** Labels of one attribute in the records of a stream, without repeats in a row. */
  said(id: string, trackId: number, name: string): (string | undefined)[] {
    const all = this.of(id).flatMap(({ detections }) => detections.filter((each) => each.trackId === trackId));
    const labels = all.map(({ attributes }) => attributes?.[name]?.label);
    return labels.filter((label, i) => label !== labels[i - 1]);
  }

  /** Reads its files to their end. */
  async settled(...ids: string[]): Promise<void> {
    await Promise.all(ids.map((id) => this.host.runtime.stream(id).settled()));
  }

  get reports(): readonly SecondStageReport[] {
    return this.host.runtime.secondStages.reports(performance.timeOrigin + performance.now());
  }

  report(name: string): SecondStageReport {
    return this.reports.find((each) => each.name === name)!;
  }

  /** What does not add up: frames of streams, crops of second stages. */
  get gaps(): number[] {
    const streams = this.host.runtime.streams.map((stream) => stream.telemetry.frames(stream.ledger.inFlight));
    return [...streams.map(conservationGap), ...this.reports.map(lookGap)];
  }

  close(): Promise<unknown> {
    return this.host.stop();
  }
}
