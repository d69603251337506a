import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { isDevice } from '../after/sinks/output-names.ts';
import { counted } from '../base/core/counted.ts';
import { taskOf } from '../base/core/model.ts';
import { compressionOf } from '../base/disk/compression.ts';
import { loadConfigured } from '../frame/runtime/model/load-detector.ts';
import { isSequence } from '../lab/optimize/gate/track-sequence.ts';
import type { CocoAnnotations } from '../network/evaluate/coco-dataset.ts';
import { picturePaths, readAnnotations } from '../network/evaluate/coco-files.ts';
import { DECIDING_FIGURE, IOU_TYPES, type IouType } from '../network/evaluate/coco-rules.ts';
import { labelsHash } from '../network/evaluate/labels-hash.ts';
import { comparePrecision } from '../network/evaluate/precision-loss.ts';
import { IOU_TYPES_OF } from '../network/evaluate/task-iou.ts';
import { type CliIo, JSON_FLAG, print, printJson, show, wrongCommand } from './cli-io.ts';
import { requireWritable } from './detect-outputs.ts';
import { type Evaluation, evaluateModel } from './evaluate-model.ts';
import { evaluateSequence } from './evaluate-sequence.ts';
import { addFlags, type FlagsOf, flagTable, repeated, whole } from './flag-values.ts';
import { ENGINE_FLAGS, FILE_FLAGS, type ModelFlags, modelConfigOf } from './model-flags.ts';
import { figuresTable, IOU_TYPE_MEANS } from './score.ts';
import { tracksTable } from './score-tracks.ts';
import { TILES_FLAG } from './view-flags.ts';

const FLAGS = flagTable({
  '--images <dir>': 'folder with the images of the annotations',
  '--model <name>': ['detector to evaluate; may be given several times (default: centernet)', repeated, []],
  ...FILE_FLAGS,
  ...ENGINE_FLAGS,
  ...TILES_FLAG,
  '--resize-by <tool>': [
    "sharp: with the publisher's kernel; ffmpeg: as live video is scaled",
    ['sharp', 'ffmpeg'],
    'sharp',
  ],
  '--iou-type <type>': [`${IOU_TYPE_MEANS} (default: by the task of the model)`, IOU_TYPES],
  '--coco <file>': 'write the detections as COCO results, which "sightline score" reads; one model only',
  '--detections <file>':
    'sequences: track these detections (det.txt), and run no model; how the camera moves is read from its video or pictures, if it has them',
  '--every <n>': ['sequences: use every n-th frame', whole('--every', 1, 1000), 1],
  '--out <file>': 'sequences: write the tracks, as MOTChallenge has them',
  ...JSON_FLAG,
});
type EvalFlags = FlagsOf<typeof FLAGS>;

export function addEval(program: Command, io: CliIo): void {
  const command = program
    .command('eval')
    .argument(
      '<annotations>',
      'COCO annotations, such as instances_val2017.json; or the folder of a MOTChallenge sequence',
    );
  addFlags(command, FLAGS).addHelpText(
    'after',
    '\nExamples:\n  sightline eval instances.json --images val2017\n  sightline eval instances.json --images val2017 --model yolox-nano --model deimv2-femto --json\n  sightline eval instances.json --images val2017 --resize-by ffmpeg\n  sightline eval instances.json --images val2017 --tiles 2x2\n  sightline eval instances.json --images val2017 --coco results.json && sightline score instances.json results.json\n  sightline eval MOT17-09-FRCNN --model yolox-nano --every 3\n  sightline eval MOT17-09-FRCNN --detections MOT17-09-FRCNN/det/det.txt --out tracks.mot.txt\n\nA sequence has gt/gt.txt, seqinfo.ini, and video.mp4 or pictures in img1: its people are tracked and scored as by "sightline score".',
  );
  command.action(async (annotationsPath: string, given: EvalFlags) => {
    if (isSequence(annotationsPath)) return showSequence(annotationsPath, given, io);
    const flags = ofPictures(annotationsPath, given);
    if (flags.coco !== undefined) await requireCocoFile(flags.coco, annotationsPath, flags.model);
    // Without places: what else is read of objects depends on the models.
    requirePictures(await readAnnotations(annotationsPath, 'classes'), flags.images);
    const names = flags.model.length === 0 ? ['centernet'] : flags.model;
    const types: IouType[] = [];
    for (const model of names) types.push(await iouTypeFor({ ...flags, model }, io));
    const read = new Map<IouType, CocoAnnotations>();
    for (const iouType of new Set(types)) read.set(iouType, await readAnnotations(annotationsPath, iouType));
    const evaluated: Evaluated[] = [];
    for (const [i, model] of names.entries())
      evaluated.push(await evaluateModel({ ...flags, model }, read.get(types[i]!)!, io));
    const models = evaluated.map(({ evaluation }) => evaluation);
    const comparisons = await comparisonsOf(evaluated, read);
    const labels = labelsHash(read.get(types[0]!)!);
    if (flags.json === true) printJson(io, { annotations: annotationsPath, labels, models, comparisons });
    else {
      for (const one of models) print(io, `${heading(one)}\n${figuresTable(one.figures, one.iouType)}\n`);
      for (const one of comparisons) print(io, `${comparisonText(one)}\n`);
    }
  });
}

/** @throws COMMAND_INVALID for flags of sequences, or without pictures. */
function ofPictures(path: string, flags: EvalFlags): EvalFlags & { readonly images: string } {
  const { images, detections, every, out } = flags;
  if (detections !== undefined || out !== undefined || every !== 1)
    throw wrongCommand(
      `--detections, --every and --out: expected the folder of a sequence, with gt/gt.txt in it, received "${path}"`,
    );
  if (images === undefined) throw wrongCommand("required option '--images <dir>' not specified");
  return { ...flags, images };
}

async function showSequence(folder: string, flags: EvalFlags, io: CliIo): Promise<void> {
  const {
    model: [model = 'centernet', ...more],
    images,
    coco,
    tiles,
  } = flags;
  const ofAnnotations = [images, coco, tiles, flags.iouType].some((flag) => flag !== undefined);
  if (more.length > 0 || ofAnnotations)
    throw wrongCommand(
      '--images, --coco, --tiles, --iou-type and several --model: expected COCO annotations, received a sequence',
    );
  if (flags.detections !== undefined && flags.model.length > 0)
    throw wrongCommand('--model: no model runs with --detections');
  if (flags.out !== undefined && compressionOf(flags.out) !== null)
    throw wrongCommand(`--out: a file of tracks is not compressed, received "${flags.out}"`);
  const report = await evaluateSequence(folder, { ...flags, model }, io);
  const { sequence, by, every, fps } = report;
  const rate = `${every === 1 ? 'every frame' : `every ${every}. frame`}, ${Number(fps.toFixed(1))} frames/s`;
  show(io, flags, report, () => `${sequence}: ${by}, ${rate}\n${tracksTable(report)}`);
}

type Evaluated = Awaited<ReturnType<typeof evaluateModel>>;

/** Two models on the same pictures. */
interface Comparison {
  readonly reference: string;
  readonly candidate: string;
  readonly figure: string;
  readonly pictures: number;
  /** What the candidate loses, and the 95 % interval of that: a paired bootstrap over the pictures. */
  readonly loss: number;
  readonly interval: readonly [low: number, high: number];
}

const BOOTSTRAP = { seed: 1, resamples: 1000 } as const;

/** Each model with the first one, if both are judged by the same figure. */
async function comparisonsOf(
  [first, ...others]: readonly Evaluated[],
  read: ReadonlyMap<IouType, CocoAnnotations>,
): Promise<Comparison[]> {
  const comparisons: Comparison[] = [];
  for (const { evaluation, results } of others) {
    const { iouType, model: candidate, images: pictures } = evaluation;
    if (iouType !== first!.evaluation.iouType) continue;
    const { overall } = await comparePrecision(read.get(iouType)!, first!.results, results, BOOTSTRAP);
    const { loss, interval } = overall;
    // Without any labelled object there is no figure.
    if (![loss, ...interval].every(Number.isFinite)) continue;
    const reference = first!.evaluation.model;
    comparisons.push({ reference, candidate, figure: DECIDING_FIGURE[iouType], pictures, loss, interval });
  }
  return comparisons;
}

function comparisonText({ reference, candidate, figure, pictures, loss, interval }: Comparison): string {
  const [low, high] = interval.map((end) => end.toFixed(3));
  const change = `${loss > 0 ? 'loses' : 'gains'} ${Math.abs(loss).toFixed(3)} ${figure} against ${reference}`;
  return `${candidate} ${change} on ${counted(pictures, 'picture')} (95 % interval of the loss ${low} to ${high})`;
}

/** By what the results of a model are matched. @throws COMMAND_INVALID if it does not find what the flag asks for; as `loadConfigured` */
async function iouTypeFor(
  flags: ModelFlags & Pick<EvalFlags, 'iouType'> & { readonly model: string },
  io: CliIo,
): Promise<IouType> {
  const task = taskOf((await loadConfigured(modelConfigOf(flags), io.environment)).family);
  const possible = IOU_TYPES_OF[task];
  const { iouType = possible[0] } = flags;
  if (possible.includes(iouType)) return iouType;
  throw wrongCommand(
    `--iou-type: expected ${possible.join(' or ')} for ${flags.model}, which finds ${task}, received ${iouType}`,
  );
}

/** Checked before the detector is opened. @throws DATASET_INVALID, COMMAND_INVALID */
function requirePictures(annotations: CocoAnnotations, folder: string): void {
  const paths = picturePaths(annotations, folder);
  const missing = paths.filter((path) => !existsSync(path));
  if (missing.length === 0) return;
  const which = `${missing.length} of them are not there, such as ${annotations.images[paths.indexOf(missing[0]!)]!.fileName}`;
  throw wrongCommand(
    `--images ${folder}: expected the ${counted(paths.length, 'picture')} of ${annotations.path}; ${which}`,
  );
}

/** Checked first: a large data set takes hours. @throws COMMAND_INVALID, SINK_FAILED */
async function requireCocoFile(path: string, annotations: string, models: readonly string[]): Promise<void> {
  const mistake =
    models.length > 1
      ? 'expected a single --model, whose detections it holds'
      : resolve(path) === resolve(annotations)
        ? `${path} is an input`
        : path === '-' || (await isDevice(path))
          ? `expected the name of a file, received "${path}"`
          : null;
  if (mistake !== null) throw wrongCommand(`--coco: ${mistake}`);
  await requireWritable('--coco', { path, isFolder: false });
}

function heading(evaluation: Evaluation): string {
  const { model, engine, provider, precision, inputSize, resizeBy, tiles, images, imagesPerSecond } = evaluation;
  const divided = tiles === null ? '' : `, tiles ${tiles}`;
  return `${model} (${engine}/${provider} ${precision}, ${inputSize}, resized by ${resizeBy}${divided}): ${images} images, ${imagesPerSecond.toFixed(1)} a second`;
}
