import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { readModel } from '../base/disk/given-file.ts';
import { loadConfigured, manifestFolders } from '../frame/runtime/model/load-detector.ts';
import { readOutline } from '../network/compile/inspect/outline.ts';
import { whyNothingIsFound } from '../network/compile/inspect/task-layouts.ts';
import { externalFiles } from '../network/compile/onnx/external-paths.ts';
import type { CocoAnnotations } from '../network/evaluate/coco-dataset.ts';
import { readAnnotations } from '../network/evaluate/coco-files.ts';
import { labelsHash } from '../network/evaluate/labels-hash.ts';
import { iouTypeOf } from '../network/evaluate/task-iou.ts';
import { isOnnxFile } from '../network/store/admit-model.ts';
import { listManifests, type Manifest } from '../network/store/manifests.ts';
import { copyWeights, saveManifest, writableModelFolder } from '../network/store/save-manifest.ts';
import { type CliIo, JSON_FLAG, note, print, printJson, table, wrongCommand } from './cli-io.ts';
import { addFlags, type FlagsOf, flagTable, given } from './flag-values.ts';
import { FILE_FLAGS, type FileFlags, modelConfigOf } from './model-flags.ts';
import { demoPictures, detectInPictures, drawPictures, picturesIn } from './sample-pictures.ts';
import { judgeByRunning, type Preparation, type Trial, tryPreparations } from './try-preparations.ts';

const FLAGS = flagTable({
  '--name <name>': 'name of the model (default: name of the file)',
  ...FILE_FLAGS,
  '--images <dir>': 'pictures to run it on (default: photographs from npm)',
  '--annotations <file>': 'COCO annotations of the pictures; settings are chosen by average precision',
  '--pictures <dir>': 'folder for the pictures with boxes (default: beside the manifest)',
  '--into <dir>': 'folder for the manifest, such as one of SIGHTLINE_MODEL_PATH; made if it is missing',
  '--copy': 'copy the weights beside the manifest instead of referring to the file',
  '--force': 'replace an added model of this name',
  ...JSON_FLAG,
});
type AddFlags = FlagsOf<typeof FLAGS>;

const HELP = `
Examples:
  sightline models add best.onnx                                        then: sightline detect clip.mp4 --model best
  sightline models add best.onnx --labels names.txt --images photos/
  sightline models add best.onnx --images val/ --annotations val.json   chooses channel order, range and resize rule by AP

The manifest is written to --into DIR, else to the first writable folder of SIGHTLINE_MODEL_PATH, else to the cache folder. Look at the sample
pictures that the command lists: they show whether the settings are right.`;

/** Maximum number of sample pictures with boxes. */
const MAX_SAMPLES = 8;
/** Maximum number of labelled pictures per trial. */
const MAX_LABELLED = 200;
/** A detector whose input is prepared as in training scores above this. */
const MIN_CREDIBLE_AP = 0.02;

export function addModelsAdd(models: Command, io: CliIo): void {
  const command = models
    .command('add')
    .description('write a manifest for an ONNX file, run it on pictures and show the boxes')
    .argument('<file>', 'ONNX file of a detector');
  addFlags(command, FLAGS)
    .addHelpText('after', HELP)
    .action((file: string, flags: AddFlags) => add(file, flags, io));
}

async function add(file: string, flags: AddFlags, io: CliIo): Promise<void> {
  if (!isOnnxFile(file)) throw wrongCommand(`${file}: expected an ONNX file, with a name that ends in .onnx`);
  if (flags.annotations !== undefined && flags.images === undefined)
    throw wrongCommand('--annotations: needs --images, the folder of its pictures');
  const inferred = await loadConfigured(modelConfigOf({ ...flags, model: file }), io.environment, undefined, (text) =>
    note(io, text),
  );
  const { modelPath, cacheDir } = io.environment;
  const folder = flags.into === undefined ? await writableModelFolder(modelPath, cacheDir) : await made(flags.into);
  const name = await freeName(flags.name ?? inferred.name, folder, flags.force === true);
  const samplesFolder = flags.pictures ?? join(folder, `${name}-samples`);
  const trials = await trialsOf(file, inferred, flags, io);
  const chosen: FileFlags = { ...flags, ...(trials === null ? {} : preparationOf(trials.best)) };
  const config = modelConfigOf({ ...fileFlagsOf(chosen), model: file });

  const pictures = await samplesOf(flags.images, samplesFolder, io);
  const found = await detectInPictures(config, pictures, io);
  const drawn = await drawPictures(pictures, found, samplesFolder);

  const manifest = await loadConfigured(config, io.environment);
  const path = await save({ ...manifest, name }, file, folder, trials, flags);
  const counts = found.map(({ length }) => length);
  const isFound = manifestFolders({ searchPath: modelPath, cacheDir }).some(
    (each) => resolve(each) === resolve(folder),
  );
  const use = isFound ? name : path;
  const broken = counts.some((count) => count > 0) ? null : whyNothingIsFound(await readOutline(file));
  const doubts = broken === null ? doubtsOf(manifest, counts, trials) : [`nothing found in any picture: ${broken}`];
  report({ manifest, name, path, use, trials, drawn, counts, doubts }, flags, io);
}

/** @throws COMMAND_INVALID */
async function made(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true }).catch((error: Error) => {
    throw wrongCommand(`--into: ${folder} cannot be made (${error.message})`);
  });
  return folder;
}

/** Returns the name if it can be used. @throws COMMAND_INVALID */
async function freeName(name: string, folder: string, mayReplace: boolean): Promise<string> {
  if (!/^[a-z0-9][a-z0-9.-]{0,63}$/.test(name))
    throw wrongCommand(`--name ${name}: expected lower-case letters, digits, dots and dashes`);
  const isBuiltIn = (await listManifests()).some((manifest) => manifest.name === name);
  if (isBuiltIn) throw wrongCommand(`${name}: a built-in model has this name; choose another with --name`);
  const path = join(folder, `${name}.yaml`);
  if (existsSync(path) && !mayReplace)
    throw wrongCommand(`${path} exists already; choose another --name, or replace it with --force`);
  return name;
}

interface Trials {
  /** Names of the two figures. */
  readonly figures: readonly string[];
  readonly trials: readonly Trial[];
  readonly best: Trial;
  readonly pictures: number;
  readonly precision: string;
  /** See `labelsHash`. */
  readonly labels: string;
}

async function trialsOf(file: string, inferred: Manifest, flags: AddFlags, io: CliIo): Promise<Trials | null> {
  if (flags.annotations === undefined) return null;
  const annotations = firstPictures(await readAnnotations(flags.annotations, iouTypeOf(inferred)), MAX_LABELLED);
  const { colours, range, resize } = inferred.input;
  const start: Preparation = {
    color: colours,
    range: range[1] === 255 ? 255 : 1,
    resize: resize.mode !== 'letterbox' ? resize.mode : resize.anchor === 'center' ? 'letterbox' : 'letterbox-top-left',
  };
  const settings = ['color', 'range', 'resize'] as const;
  const fixed = new Set(settings.filter((setting) => flags[setting] !== undefined));
  // Mean and standard deviation are only valid for one range and channel order.
  if (inferred.input.mean.some((value) => value !== 0))
    for (const setting of ['color', 'range'] as const) fixed.add(setting);
  const judge = judgeByRunning({ ...fileFlagsOf(flags), model: file, images: flags.images! }, annotations, io);
  const figures = annotations.iouType === 'classes' ? ['top1', 'top5'] : ['AP', 'AP50'];
  const tried = await tryPreparations(start, fixed, judge);
  const { precision } = judge;
  return { figures, ...tried, pictures: annotations.images.length, precision, labels: labelsHash(annotations) };
}

function firstPictures(dataset: CocoAnnotations, max: number): CocoAnnotations {
  if (dataset.images.length <= max) return dataset;
  const images = dataset.images.slice(0, max);
  const ids = new Set(images.map(({ id }) => id));
  return { ...dataset, images, annotations: dataset.annotations.filter(({ imageId }) => ids.has(imageId)) };
}

function fileFlagsOf({ family, labels, color, range, resize }: FileFlags): FileFlags {
  return given({ family, labels, color, range, resize });
}

function preparationOf({ color, range, resize }: Trial): Preparation {
  return { color, range, resize };
}

/** Returns paths of sample pictures: the user's, else photographs from npm; none if those cannot be fetched. */
async function samplesOf(images: string | undefined, folder: string, io: CliIo): Promise<string[]> {
  if (images !== undefined) return picturesIn(images, MAX_SAMPLES);
  try {
    return await demoPictures(folder, io);
  } catch (error) {
    note(io, `warning: cannot fetch sample photographs (${(error as Error).message}); pass your own with --images DIR`);
    return [];
  }
}

async function save(
  manifest: Manifest,
  file: string,
  folder: string,
  trials: Trials | null,
  flags: AddFlags,
): Promise<string> {
  const weights = `${manifest.name}.onnx`;
  if (flags.copy === true) {
    const [beside] = externalFiles(await readModel(file), file);
    if (beside !== undefined) throw wrongCommand(`--copy: ${file} keeps weights in ${beside}; leave --copy out`);
    await copyWeights(file, join(folder, weights));
  }
  const { sha256 } = manifest.files[0]!;
  const source = flags.copy === true ? `file:${weights}` : `file:${resolve(file)}`;
  const reported =
    trials === null || trials.figures[0] !== 'AP'
      ? null
      : {
          ap: trials.best.ap,
          apByFfmpeg: null,
          f16Loss: null,
          on: `${trials.pictures} pictures of ${basename(flags.annotations!)}`,
          measured: sha256 === null ? null : { pictures: trials.pictures, labels: trials.labels, weights: [sha256] },
        };
  const files = [{ name: weights, sha256, sources: [source] }];
  return saveManifest({ ...manifest, files, reported }, folder);
}

/** Returns a sentence for each sign of wrong settings. */
function doubtsOf(manifest: Manifest, counts: readonly number[], trials: Trials | null): string[] {
  const doubts: string[] = [];
  const by = iouTypeOf(manifest);
  const what = by === 'bbox' ? '' : ` (judged by ${by}, which its annotations need)`;
  const advice = `Try --color, --range, --resize and --family, or pass --annotations${what} to choose them by trial`;
  if (counts.length > 0 && counts.every((count) => count === 0))
    doubts.push(
      `no box in any of ${counts.length} pictures: the settings look wrong, or the pictures show none of its classes. ${advice}`,
    );
  // The best classes of a picture are always as many.
  const isFull = (count: number): boolean => manifest.task !== 'classes' && count >= manifest.maxDetections;
  const full = counts.filter(isFull).length;
  if (full * 2 > counts.length)
    doubts.push(
      `${full} of ${counts.length} pictures have ${manifest.maxDetections} boxes or more: the settings look wrong. ${advice}`,
    );
  if (trials !== null && trials.best.ap < MIN_CREDIBLE_AP)
    doubts.push(
      `${trials.figures[0]} of ${trials.best.ap.toFixed(4)} means that the model does not work: check --family, and that --labels has the order of the network's classes`,
    );
  return doubts;
}

interface Added {
  readonly manifest: Manifest;
  readonly name: string;
  readonly path: string;
  /** What `--model` takes: its name if its folder is searched, else its path. */
  readonly use: string;
  readonly trials: Trials | null;
  readonly drawn: readonly string[];
  readonly counts: readonly number[];
  readonly doubts: readonly string[];
}

function report({ manifest, name, path, use, trials, drawn, counts, doubts }: Added, flags: AddFlags, io: CliIo): void {
  const { family, task = 'boxes', input, classes } = manifest;
  for (const doubt of doubts) note(io, `warning: ${doubt}`);
  const pictures = drawn.map((picture, at) => ({ path: picture, boxes: counts[at]! }));
  if (flags.json === true) {
    const { width, height, colours, range, resize } = input;
    const summary = {
      name,
      path,
      family,
      task,
      classes: classes.length,
      input: { width, height, colours, range, resize },
    };
    printJson(io, { ...summary, trials: trials?.trials ?? [], pictures, doubts });
    return;
  }
  if (trials !== null) print(io, trialsTable(trials));
  const what = task === 'classes' ? 'classes' : 'boxes';
  for (const picture of pictures) print(io, `${picture.path}: ${picture.boxes} ${what}`);
  if (doubts.length > 0) print(io, 'The result looks wrong: see the warnings above.');
  const { width, height, colours, range, resize } = input;
  const fit =
    resize.mode !== 'letterbox' ? resize.mode : `letterbox ${resize.anchor === 'center' ? 'centred' : 'top left'}`;
  const settings = `${family}, ${task === 'boxes' ? '' : `${task}, `}${width}x${height}, ${colours} 0..${range[1]}, ${fit}, ${classes.length} classes`;
  print(io, `written: ${path} (${settings}${choiceOf(trials)}); use it with --model ${use}`);
}

function trialsTable({ figures, trials, best, pictures, precision }: Trials): string {
  const rows = trials.map((trial) => [
    trial === best ? '*' : '',
    ...[trial.color, `0..${trial.range}`, trial.resize, trial.ap.toFixed(4), trial.ap50.toFixed(4)],
    trial.gain === null ? '' : `${signed(trial.gain.ap)} (${trial.gain.interval.map(signed).join(' to ')})`,
  ]);
  return [
    table([['', 'colours', 'range', 'resize', ...figures, 'gain'], ...rows]),
    `* chosen; ${pictures} pictures, all with onnx in ${precision}; a change is kept if its gain is certainly above 0\n`,
  ].join('\n');
}

/** Says whether the pictures were enough to choose settings. */
function choiceOf(trials: Trials | null): string {
  if (trials === null) return '';
  const why =
    trials.best === trials.trials[0]
      ? "the file's and family's defaults: no other setting is certainly better"
      : 'better than the defaults with certainty';
  return `; ${why} on ${trials.pictures} pictures`;
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(3)}`;
}
