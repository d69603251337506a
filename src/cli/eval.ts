import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { batchConfig } from '../config/batch.ts';
import { check } from '../config/check.ts';
import { previewConfig } from '../config/gateway.ts';
import { parseStream } from '../config/load-pipeline.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { type CocoFigures, scoreDetections } from '../evaluate/average-precision.ts';
import { categoryIdsOfClasses } from '../evaluate/class-categories.ts';
import type { CocoAnnotations, CocoResult } from '../evaluate/coco-dataset.ts';
import { readAnnotations } from '../evaluate/coco-files.ts';
import { openRuntime } from '../runtime/open-runtime.ts';
import { ResultSinks } from '../runtime/result-sinks.ts';
import { type CliIo, note, print, printJson } from './cli-io.ts';
import { addEngineFlags, type ModelFlags, modelConfigOf } from './model-flags.ts';
import { startProgress } from './progress.ts';
import { figuresTable } from './score.ts';

interface EvalFlags extends Omit<ModelFlags, 'model'> {
  readonly images: string;
  readonly model: string[];
  readonly resizeBy: ResizeBy;
  readonly json?: boolean;
}

type ResizeBy = 'ffmpeg' | 'sharp';

interface Evaluation {
  readonly model: string;
  readonly engine: string;
  readonly provider: string;
  readonly precision: string;
  readonly inputSize: string;
  readonly resizeBy: ResizeBy;
  readonly images: number;
  readonly imagesPerSecond: number;
  readonly figures: CocoFigures;
}

/** AP is measured with every class of every box down to here, as publishers do. */
const EVAL_SCORE = 0.001;

export function addEval(program: Command, io: CliIo): void {
  const command = program
    .command('eval')
    .description('COCO average precision of a model as it is run here')
    .argument('<annotations>', 'COCO annotations, as instances_val2017.json')
    .requiredOption('--images <dir>', 'folder of the pictures that the annotations name')
    .option(
      '--model <name>',
      'detector to evaluate; may be given several times (default: centernet)',
      (name: string, earlier: string[]) => [...earlier, name],
      [],
    );
  addEngineFlags(command)
    .addOption(
      new Option('--resize-by <who>', 'sharp: with the kernel of the publisher; ffmpeg: as it scales live video')
        .choices(['sharp', 'ffmpeg'])
        .default('sharp'),
    )
    .option('--json', 'one JSON document on standard output')
    .addHelpText(
      'after',
      '\nExamples:\n  sightline eval instances.json --images val2017\n  sightline eval instances.json --images val2017 --model yolox-nano --model deimv2-femto --json\n  sightline eval instances.json --images val2017 --resize-by ffmpeg',
    );
  command.action(async (annotationsPath: string, flags: EvalFlags) => {
    const annotations = await readAnnotations(annotationsPath);
    const names = flags.model.length === 0 ? ['centernet'] : flags.model;
    const evaluations: Evaluation[] = [];
    for (const model of names) evaluations.push(await evaluate({ ...flags, model }, annotations, io));
    if (flags.json === true) printJson(io, { annotations: annotationsPath, models: evaluations });
    else
      for (const evaluation of evaluations) print(io, `${heading(evaluation)}\n${figuresTable(evaluation.figures)}\n`);
  });
}

function heading({
  model,
  engine,
  provider,
  precision,
  inputSize,
  resizeBy,
  images,
  imagesPerSecond,
}: Evaluation): string {
  return `${model} (${engine}/${provider} ${precision}, ${inputSize}, resized by ${resizeBy}): ${images} images, ${imagesPerSecond.toFixed(1)} a second`;
}

async function evaluate(
  flags: ModelFlags & { images: string; resizeBy: ResizeBy },
  annotations: CocoAnnotations,
  io: CliIo,
): Promise<Evaluation> {
  const runtime = await openRuntime({
    model: { ...modelConfigOf({ ...flags, minScore: EVAL_SCORE }), classesPerBox: 'all' },
    batch: check(batchConfig, {}, 'batch'),
    preview: check(previewConfig, {}, 'preview'),
    sinks: new ResultSinks([]),
    environment: io.environment,
    onNotice: (text) => note(io, text),
  });
  const onStop = (): void => void runtime.stop();
  io.stop.addEventListener('abort', onStop);
  const progress = startProgress(io, 'images');
  try {
    const { images } = annotations;
    const categoryIds = categoryIdsOfClasses(annotations, runtime.spec.classes);
    const results: CocoResult[] = [];
    let done = 0;
    runtime.published.add(({ frame, detections }) => {
      for (const { classId, box, score } of detections) {
        const categoryId = categoryIds[classId];
        if (categoryId != null) results.push({ imageId: images[frame]!.id, categoryId, box: [...box], score });
      }
      progress.update(++done, images.length, `${flags.model} ${done} / ${images.length} images`);
    });
    const startedMs = performance.now();
    const config = parseStream({ id: 'eval', source: flags.images, policy: 'file' }, {});
    const imagePaths = images.map(({ fileName }) => join(flags.images, fileName));
    const session = runtime.add(config, {
      source: null,
      imagePaths,
      resizeImagesBy: flags.resizeBy,
      label: flags.images,
      policy: 'file',
      picture: null,
    });
    await session.settled();
    if (session.failure !== null) throw session.failure;
    if (done < images.length && !io.stop.aborted)
      throw new SightlineError(
        'ENGINE_FAILED',
        `${images.length - done} of ${images.length} images were given up after failed inferences; no figures`,
      );
    if (io.stop.aborted) throw new SightlineError('COMMAND_INVALID', 'stopped before the end; no figures');
    const { engine, provider, precision } = runtime.engineInfo;
    const { width, height } = runtime.spec.input;
    return {
      model: runtime.spec.name,
      engine,
      provider,
      precision,
      inputSize: `${width}x${height}`,
      resizeBy: flags.resizeBy,
      images: images.length,
      imagesPerSecond: (images.length * 1000) / (performance.now() - startedMs),
      figures: scoreDetections(annotations, results),
    };
  } finally {
    progress.stop();
    io.stop.removeEventListener('abort', onStop);
    await runtime.stop();
  }
}
