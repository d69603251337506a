import { existsSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, extname, join, resolve, sep } from 'node:path';
import { isDevice } from '../after/sinks/output-names.ts';
import { redact } from '../base/core/redact.ts';
import { compressionOf, compressionProblem } from '../base/disk/compression.ts';
import { openGiven } from '../base/disk/given-file.ts';
import { outputNames } from '../fleet/control/jobs/output-name.ts';
import { expandInputs, PICTURE_EXTENSIONS } from '../frame/source/expand-inputs.ts';
import { parseSource } from '../frame/source/parse-source.ts';
import { parseStream } from '../settings/config/parse-stream.ts';
import { DECODED_FRAMES, type StreamConfig } from '../settings/config/stream.ts';
import { wrongCommand } from './cli-io.ts';
import { DECODER_FLAGS } from './decoder-flags.ts';
import { type FlagsOf, flagTable, listOf, repeated, whole } from './flag-values.ts';
import { ENGINE_FLAGS, MODEL_FLAGS } from './model-flags.ts';
import { VIEW_FLAGS, viewSettingsOf } from './view-flags.ts';

/** Each has an ffmpeg and a ring of frames. */
const MOST_JOBS = 16;

const RESULT_FORMATS = ['jsonl', 'csv', 'mot'] as const;
type ResultFormat = (typeof RESULT_FORMATS)[number];

export const DETECT_FLAGS = flagTable({
  ...MODEL_FLAGS,
  ...ENGINE_FLAGS,
  ...DECODER_FLAGS,
  ...VIEW_FLAGS,
  '--min-score <0..1>': ['lowest score to report (default: from the manifest)', Number],
  '--classes <names>': ['report only these classes, separated by commas', listOf],
  '--out <file|dir/>': [
    'write one JSON line for each frame, or with .csv one line for each detection, or with .mot.txt the tracks as MOTChallenge has them; DIR/ gets a file for each input; .jsonl.gz or .jsonl.zst compresses; "-" for standard output; may be given several times',
    repeated,
  ],
  '--format <format>': ['format of the files in --out DIR/', RESULT_FORMATS],
  '--coco <file>': 'write COCO results',
  '--parquet <file|dir/>': 'write a Parquet file with a row for each detection; DIR/ gets a file for each input',
  '--yolo <dir>': 'write label files of YOLO, one for each picture or frame',
  '--video <file|dir/>': 'write the video with boxes drawn on it; DIR/ gets one for each input, of a picture a JPEG',
  '--track': 'track objects from frame to frame',
  '--stages <file>': 'pipeline file whose second stages look at the objects in videos, which are then tracked',
  '--skip-unchanged': 'repeat the result of the last inferred frame while nothing changes',
  '--track-between <n|auto>': [
    'infer every n-th frame and predict the boxes between by tracking; auto adapts n to the motion',
    (text) => (text === 'auto' ? text : Number(text)),
  ],
  '--cache <n>': ['keep the results of n pictures; equal pictures are inferred once', Number],
  '--every <n>': ['process every n-th frame of those that are decoded', Number, 1],
  '--decode <frames>': [
    'which frames are decoded: all, reference (those that others depend on) or key (those that depend on no other)',
    DECODED_FRAMES,
  ],
  '--jobs <n>': [`files that are read at once (default: ${defaultJobs()} on this machine)`, whole('--jobs', 1, 64)],
  '--resume': 'continue where the same command was interrupted',
  '--dry-run': 'list inputs, outputs, model and engine, and do nothing else',
  '--ca <file>': 'PEM file of certificate authorities that https:// and rtsps:// inputs may use',
  '--insecure-tls': 'accept any certificate of https:// and rtsps:// inputs',
  '--json': 'one JSON document with the summary on standard output',
});
export type DetectFlags = Partial<FlagsOf<typeof DETECT_FLAGS>> & { readonly every: number };

/** Container of the videos in a folder. */
const VIDEO_EXTENSION = '.mp4';
const PARQUET_EXTENSION = '.parquet';
const TRACKS_EXTENSION = '.mot.txt';
/** Of the pictures with boxes beside them. */
const PICTURE_EXTENSION = '.jpg';

export interface DetectSource {
  /** As it is opened: of a file its path. */
  readonly path: string;
  readonly isPicture: boolean;
  /** Name of its files in output folders, without extension. */
  readonly name: string;
  /** As `name`, without the extension of the input: tools find the labels of a picture by it. */
  readonly stem: string;
}

/** What one stream reads: a video, or pictures that follow each other in the inputs. */
export interface DetectItem {
  /** Place among the items, from 0. */
  readonly order: number;
  readonly kind: 'video' | 'pictures';
  readonly sources: readonly DetectSource[];
}

/** Where results of one kind go: a file, or a folder with a file for each input. */
export interface OutputPlace {
  /** The flag that names it. */
  readonly id: '--out' | '--coco' | '--parquet' | '--yolo' | '--video';
  readonly path: string;
  readonly isFolder: boolean;
  /** Of `--out`. */
  readonly format?: ResultFormat;
}

/** Where results go. */
export interface OutputPlan {
  readonly places: readonly OutputPlace[];
  /** Folder for what `--resume` needs, beside or in the first place; null if an output is a pipe or there is none. */
  readonly resumeFolder: string | null;
}

export interface DetectPlan {
  readonly sources: readonly DetectSource[];
  readonly items: readonly DetectItem[];
  readonly outputs: OutputPlan;
  /** Files of folders that are neither video nor picture. */
  readonly skipped: readonly string[];
  /** Of these: what is no file that can be read, with the reason. */
  readonly special: ReadonlyMap<string, string>;
}

/** Decides what is read and what is written, and touches nothing. @throws SOURCE_*, COMMAND_INVALID, CONFIG_INVALID */
export async function planDetect(inputs: readonly string[], flags: DetectFlags): Promise<DetectPlan> {
  const { skipped, special, onLeftOut } = leftOut();
  const paths = await expandInputs(inputs, { pictures: true, onLeftOut });
  const [names, stems] = [outputNames(paths, nameOf), labelNames(paths)];
  const sources: DetectSource[] = [];
  for (const [i, path] of paths.entries())
    sources.push({ path, isPicture: await isPicture(path), name: names[i]!, stem: stems[i]! });
  const outputs = await planOutputs(sources, flags);
  requireApart(inputs, sources, outputs);
  return { sources, items: itemsOf(sources), outputs, skipped, special };
}

/** A still picture is resized as the model's publisher does it; it does not need ffmpeg's speed. */
function itemsOf(sources: readonly DetectSource[]): DetectItem[] {
  const items: DetectItem[] = [];
  for (const source of sources) {
    const last = items.at(-1);
    if (source.isPicture && last?.kind === 'pictures') (last.sources as DetectSource[]).push(source);
    else items.push({ order: items.length, kind: source.isPicture ? 'pictures' : 'video', sources: [source] });
  }
  return items;
}

/** By its content, whatever its name is; by its name if the content says nothing. */
export async function isPicture(source: string): Promise<boolean> {
  if (statSync(source, { throwIfNoEntry: false })?.isFile() !== true) return false;
  const extension = extname(source).slice(1).toLowerCase();
  return (PICTURE_EXTENSIONS as readonly string[]).includes(extension) || startsAsPicture(source);
}

/** Of the longest start below. */
const START_BYTES = 12;

/** Is it JPEG, PNG or WebP? */
async function startsAsPicture(path: string): Promise<boolean> {
  const bytes = Buffer.alloc(START_BYTES);
  try {
    const { handle } = await openGiven(path, { code: 'SOURCE_UNREADABLE', mostBytes: Number.POSITIVE_INFINITY });
    await handle.read(bytes).finally(() => handle.close());
  } catch {
    // Reading it reports why.
    return false;
  }
  const start = bytes.toString('latin1');
  return start.startsWith('\xff\xd8\xff') || start.startsWith('\x89PNG') || /^RIFF.{4}WEBP/s.test(start);
}

async function planOutputs(sources: readonly DetectSource[], flags: DetectFlags): Promise<OutputPlan> {
  const { out = [], coco, parquet, yolo, video } = flags;
  const places: OutputPlace[] = await resultPlaces(out, flags.format);
  for (const place of places) if (place.format === 'mot') requireTracks(place, sources, flags);
  if (coco !== undefined) places.push({ id: '--coco', path: coco, isFolder: false });
  if (parquet !== undefined && (await isPipe(parquet)))
    throw wrongCommand('--parquet: a Parquet file is read from its end, so it cannot be a pipe; name a file');
  if (parquet !== undefined) places.push({ id: '--parquet', path: parquet, isFolder: isFolder(parquet) });
  if (yolo !== undefined) places.push({ id: '--yolo', path: yolo, isFolder: true });
  if (video !== undefined) {
    const place = { id: '--video' as const, path: video, isFolder: isFolder(video) };
    if (!place.isFolder) await requireOneVideo(video, sources);
    places.push(place);
  }
  const pipes = await Promise.all(places.map((place) => !place.isFolder && isPipe(place.path)));
  const resumeFolder = places.length === 0 || pipes.some(Boolean) ? null : resumeFolderOf(places[0]!);
  return { places, resumeFolder };
}

/** A file of tracks has frames of one video. @throws COMMAND_INVALID */
function requireTracks(
  { path, isFolder: isOwn }: OutputPlace,
  sources: readonly DetectSource[],
  flags: DetectFlags,
): void {
  const { track, stages, trackBetween = 1 } = flags;
  if (track !== true && stages === undefined && trackBetween === 1)
    throw wrongCommand(`--out ${path}: a file of tracks needs --track`);
  if (!isOwn && sources.length > 1)
    throw wrongCommand(
      `--out ${path}: a file of tracks takes one video, received ${sources.length}; name a folder, with --format mot`,
    );
}

/** @throws COMMAND_INVALID */
async function resultPlaces(paths: readonly string[], format: ResultFormat | undefined): Promise<OutputPlace[]> {
  if (paths.length === 0 && format !== undefined) throw wrongCommand('--format: belongs to --out DIR/');
  const hasFolder = paths.some(isFolder);
  const places: OutputPlace[] = [];
  for (const path of paths) {
    if (places.some((other) => resolve(other.path) === resolve(path)))
      throw wrongCommand(`--out: ${path} is named twice`);
    const wanted = isFolder(path) || !hasFolder ? format : undefined;
    places.push({ id: '--out', path, isFolder: isFolder(path), format: await formatOf(path, wanted) });
  }
  return places;
}

/** @throws COMMAND_INVALID, CONFIG_INVALID if a file cannot be the video of these inputs. */
async function requireOneVideo(video: string, [source, ...more]: readonly DetectSource[]): Promise<void> {
  (await import('../after/sinks/open-video-sink.ts')).videoContainer(video);
  const folder = `${basename(video, extname(video))}/`;
  if (more.length > 0)
    throw wrongCommand(
      `--video: one file takes one input, received ${more.length + 1}; name a folder, as in --video ${folder}`,
    );
  if (source?.isPicture === true)
    throw wrongCommand(
      `--video: ${source.path} is a picture; name a folder, which gets a picture with boxes, as in --video ${folder}`,
    );
}

/** The file that an input has in an output: one of its own in a folder. */
export function fileIn({ id, path, isFolder, format }: OutputPlace, { name, isPicture }: DetectSource): string {
  const picture = isPicture ? PICTURE_EXTENSION : VIDEO_EXTENSION;
  const results = format === 'mot' ? TRACKS_EXTENSION : `.${format}`;
  const extension = id === '--video' ? picture : id === '--parquet' ? PARQUET_EXTENSION : results;
  return isFolder ? join(path, `${name}${extension}`) : path;
}

/** The list of classes has the name `classes`. */
function labelNames(paths: readonly string[]): string[] {
  const stemOf = (path: string): string =>
    path === 'classes' ? path : nameOf(path).slice(0, -extname(path).length || undefined);
  return outputNames([...paths, 'classes'], stemOf).slice(0, -1);
}

async function isPipe(path: string): Promise<boolean> {
  return path === '-' || (await isDevice(path));
}

function isFolder(path: string): boolean {
  return /[/\\]$/.test(path) || (existsSync(path) && statSync(path).isDirectory());
}

/** Name of a source in results: credentials are never shown. */
export function labelOf(source: string): string {
  if (existsSync(source)) return source;
  try {
    return parseSource(source, { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 0 }).label;
  } catch {
    return redact(source);
  }
}

/** A file is named; a URL becomes letters, digits, dots and dashes, without its credentials. */
function nameOf(source: string): string {
  if (!/^[a-z][a-z0-9+.-]+:/i.test(source)) return basename(source);
  return redact(source)
    .replace(/[^A-Za-z0-9.]+/g, '-')
    .slice(0, 100);
}

function resumeFolderOf({ path, isFolder }: OutputPlace): string {
  return isFolder ? join(path, '.resume') : join(dirname(path), `.${basename(path)}.resume`);
}

/** Extensions of `--out`; JSON lines also with `.gz` and `.zst`. A name without one is taken as JSON lines. */
const EXTENSIONS: Readonly<Record<string, ResultFormat>> = {
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.csv': 'csv',
  [TRACKS_EXTENSION]: 'mot',
};

/** A file named `r.xml` would hold JSON lines. @throws COMMAND_INVALID */
async function formatOf(path: string, format: ResultFormat | undefined): Promise<ResultFormat> {
  if (isFolder(path)) return format ?? 'jsonl';
  const compression = compressionOf(path);
  const problem = compressionProblem(path);
  if (problem !== null) throw wrongCommand(`--out: ${problem}`);
  const bare = compression === null ? path : path.slice(0, -extname(path).length);
  const extension = bare.toLowerCase().endsWith(TRACKS_EXTENSION) ? TRACKS_EXTENSION : extname(bare).toLowerCase();
  const isNameless = extension === '' || (await isPipe(path));
  const known = isNameless ? (format ?? 'jsonl') : EXTENSIONS[extension];
  if (known === undefined || (known !== 'jsonl' && compression !== null)) {
    const lines = Object.entries(EXTENSIONS).flatMap(([each, kind]) =>
      kind !== 'jsonl' ? [each] : [each, `${each}.gz`, `${each}.zst`],
    );
    const hint = extension === '.json' ? ' (--coco writes one JSON document)' : '';
    throw wrongCommand(
      `--out: expected a folder (DIR/) or a name that ends in ${lines.join(', ')}, received "${path}"${hint}`,
    );
  }
  if (format !== undefined && format !== known)
    throw wrongCommand(`--format ${format}: --out ${path} is a file of ${known}`);
  if (path === '-' && known !== 'jsonl') {
    const [what, extension] = known === 'mot' ? ['tracks', TRACKS_EXTENSION] : ['rows', '.csv'];
    throw wrongCommand(`--out -: ${what} are written to a file; name one that ends in ${extension}`);
  }
  return known;
}

/** An output must not replace an input, nor become one of the next run. @throws COMMAND_INVALID */
function requireApart(inputs: readonly string[], sources: readonly DetectSource[], outputs: OutputPlan): void {
  const read = new Set(sources.map(({ path }) => resolve(path)));
  for (const { id, path } of outputs.places)
    if (read.has(resolve(path))) throw wrongCommand(`${id}: ${path} is an input`);
  const video = outputs.places.find(({ id }) => id === '--video');
  if (video === undefined) return;
  const inside = `${resolve(video.path)}${sep}`;
  const around = inputs.find((input) => isFolder(input) && inside.startsWith(`${resolve(input)}${sep}`));
  if (around !== undefined)
    throw wrongCommand(
      `--video: ${video.path} is inside the input ${around}, so the next run would read it; choose another folder`,
    );
}

/** Settings of the stream that reads an input. @throws CONFIG_INVALID */
export function detectStream(id: string, source: string, flags: DetectFlags): StreamConfig {
  const {
    every,
    decode = 'all',
    track = false,
    skipUnchanged: unchanged = false,
    trackBetween = 1,
    insecureTls = false,
  } = flags;
  const skip = { unchanged, trackBetween };
  return parseStream(
    { id, source, policy: 'file', every, decode, track, skip, insecureTls, ...viewSettingsOf(flags) },
    {},
  );
}

/** Items at once, if the user does not say. 16 short clips on two cores: 6.7 s one by one, 5.5 two at once, 5.0 three, 5.4 four. */
export function defaultJobs(): number {
  return Math.min(MOST_JOBS, availableParallelism() + 1);
}

/** Collects what `expandInputs` leaves out: all of it, and the reasons of what is no file that can be read. */
export function leftOut() {
  const skipped: string[] = [];
  const special = new Map<string, string>();
  const onLeftOut = (path: string, why?: string): void => {
    skipped.push(path);
    if (why !== undefined) special.set(path, why);
  };
  return { skipped, special, onLeftOut };
}

/** What was left out, and why, a text each kind. */
export function leftOutTexts({ skipped, special }: Pick<DetectPlan, 'skipped' | 'special'>, what: string): string[] {
  const plain = skipped.filter((path) => !special.has(path));
  return [
    ...(plain.length === 0 ? [] : [leftOutText(plain, what)]),
    ...[...special].map(([path, why]) => `${path}: ${why}, and left out`),
  ];
}

/** `3 files are neither video nor picture, and left out: a.txt, b.pdf, c.srt`. @param what - `neither video nor picture`. */
function leftOutText(paths: readonly string[], what: string): string {
  const named = `${paths.slice(0, 10).join(', ')}${paths.length > 10 ? ` and ${paths.length - 10} more` : ''}`;
  return `${paths.length === 1 ? '1 file is' : `${paths.length} files are`} ${what}, and left out: ${named}`;
}
