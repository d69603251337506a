import { existsSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, extname, join, resolve, sep } from 'node:path';
import type { StreamConfig } from '../config/stream.ts';
import { outputNames } from '../control/jobs/output-name.ts';
import { redact } from '../core/redact.ts';
import { compressionOf, compressionProblem } from '../disk/compression.ts';
import { openGiven } from '../disk/given-file.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { parseStream } from '../pipeline/load-pipeline.ts';
import { isDevice } from '../sinks/output-names.ts';
import { expandInputs, PICTURE_EXTENSIONS } from '../source/expand-inputs.ts';
import { parseSource } from '../source/parse-source.ts';
import type { DecoderFlags } from './decoder-flags.ts';
import type { ModelFlags } from './model-flags.ts';
import { type ViewFlags, viewSettingsOf } from './view-flags.ts';

export interface DetectFlags extends ModelFlags, ViewFlags, DecoderFlags {
  /** Each `--out`. */
  readonly out?: readonly string[];
  readonly format?: ResultFormat;
  readonly coco?: string;
  readonly yolo?: string;
  readonly video?: string;
  readonly classes?: readonly string[];
  readonly track?: boolean;
  readonly skipUnchanged?: boolean;
  readonly trackBetween?: number | 'auto';
  readonly every: number;
  readonly jobs?: number;
  readonly resume?: boolean;
  readonly dryRun?: boolean;
  readonly ca?: string;
  readonly insecureTls?: boolean;
  readonly json?: boolean;
}

export const RESULT_FORMATS = ['jsonl', 'csv'] as const;
type ResultFormat = (typeof RESULT_FORMATS)[number];

/** What one stream reads: a video, or pictures that follow each other in the inputs. */
export interface DetectItem {
  /** Place among the items, from 0. */
  readonly order: number;
  readonly kind: 'video' | 'pictures';
  readonly sources: readonly string[];
  /** Place of its first source among all sources. */
  readonly first: number;
}

/** A file, or a folder with a file for each input. */
export interface OutputPlace {
  readonly path: string;
  readonly isFolder: boolean;
}

export interface ResultPlace extends OutputPlace {
  readonly format: ResultFormat;
}

/** Where results go. */
export interface OutputPlan {
  readonly out: readonly ResultPlace[];
  readonly coco: OutputPlace | null;
  readonly yolo: OutputPlace | null;
  readonly video: OutputPlace | null;
  /** File names in output folders, one for each source, without extension. */
  readonly names: readonly string[];
  /** As `names`, without the extension of the input: tools find the labels of a picture by it. */
  readonly stems: readonly string[];
  /** Folder for what `--resume` needs, while the command runs; null if an output is a pipe or there is none. */
  readonly resumeFolder: string | null;
  /** Beside or in which that folder lies; null without outputs. */
  readonly firstOutput: { readonly id: string; readonly path: string } | null;
}

export interface DetectPlan {
  readonly sources: readonly string[];
  /** Which sources are still pictures. */
  readonly arePictures: readonly boolean[];
  readonly items: readonly DetectItem[];
  readonly outputs: OutputPlan;
  /** Files of folders that are neither video nor picture. */
  readonly skipped: readonly string[];
}

/** Decides what is read and what is written, and touches nothing. @throws SOURCE_*, COMMAND_INVALID, CONFIG_INVALID */
export async function planDetect(inputs: readonly string[], flags: DetectFlags): Promise<DetectPlan> {
  const skipped: string[] = [];
  const sources = await expandInputs(inputs, { pictures: true, onLeftOut: (path) => skipped.push(path) });
  const arePictures: boolean[] = [];
  for (const source of sources) arePictures.push(await isPicture(source));
  const outputs = await planOutputs(sources, arePictures, flags);
  requireApart(inputs, sources, outputs);
  return { sources, arePictures, items: itemsOf(sources, arePictures), outputs, skipped };
}

/** A still picture is resized as the model's publisher does it; it does not need ffmpeg's speed. */
function itemsOf(sources: readonly string[], arePictures: readonly boolean[]): DetectItem[] {
  const items: DetectItem[] = [];
  for (const [first, source] of sources.entries()) {
    const last = items.at(-1);
    const kind = arePictures[first] === true ? 'pictures' : 'video';
    if (kind === 'pictures' && last?.kind === 'pictures') (last.sources as string[]).push(source);
    else items.push({ order: items.length, kind, sources: [source], first });
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

async function planOutputs(
  sources: readonly string[],
  arePictures: readonly boolean[],
  flags: DetectFlags,
): Promise<OutputPlan> {
  const { out: outPaths = [], coco, yolo, video, format } = flags;
  const out: ResultPlace[] = [];
  for (const path of outPaths) {
    const place = placeOf(path);
    if (out.some((other) => resolve(other.path) === resolve(path)))
      throw new SightlineError('COMMAND_INVALID', `--out: ${path} is named twice`);
    const hasFolder = outPaths.some((other) => placeOf(other).isFolder);
    out.push({ ...place, format: await formatOf(path, place.isFolder || !hasFolder ? format : undefined) });
  }
  if (out.length === 0 && format !== undefined)
    throw new SightlineError('COMMAND_INVALID', '--format: belongs to --out DIR/');
  const videoPlace = video === undefined ? null : placeOf(video);
  if (videoPlace?.isFolder === false) {
    (await import('../runtime/results/open-video-sink.ts')).videoContainer(videoPlace.path);
    if (sources.length > 1)
      throw new SightlineError(
        'COMMAND_INVALID',
        `--video: one file takes one input, received ${sources.length}; name a folder, as in --video ${basename(video!, extname(video!))}/`,
      );
    if (arePictures[0] === true)
      throw new SightlineError(
        'COMMAND_INVALID',
        `--video: ${sources[0]} is a picture; name a folder, which gets a picture with boxes, as in --video ${basename(video!, extname(video!))}/`,
      );
  }
  const places = {
    out,
    coco: coco === undefined ? null : { path: coco, isFolder: false },
    yolo: yolo === undefined ? null : { path: yolo, isFolder: true },
    video: videoPlace,
  };
  const all = placesOf(places);
  const devices = await Promise.all(all.map(({ path, isFolder }) => !isFolder && isPipe(path)));
  return {
    ...places,
    names: outputNames(sources, nameOf),
    stems: labelNames(sources),
    resumeFolder: all.length === 0 || devices.some(Boolean) ? null : resumeFolderOf(all[0]!),
    firstOutput: all[0] ?? null,
  };
}

/** The list of classes has the name `classes`. */
function labelNames(sources: readonly string[]): string[] {
  const stemOf = (source: string): string => nameOf(source).slice(0, -extname(source).length || undefined);
  return outputNames([...sources, 'classes'], (source) => (source === 'classes' ? source : stemOf(source))).slice(
    0,
    -1,
  );
}

/** All outputs, with the flag that names each. */
export function placesOf({
  out,
  coco,
  yolo,
  video,
}: Pick<OutputPlan, 'out' | 'coco' | 'yolo' | 'video'>): (OutputPlace & { readonly id: string })[] {
  return [
    ...out.map((place) => ({ id: '--out', ...place })),
    ...Object.entries({ coco, yolo, video }).flatMap(([flag, place]) =>
      place === null ? [] : [{ id: `--${flag}`, ...place }],
    ),
  ];
}

async function isPipe(path: string): Promise<boolean> {
  return path === '-' || (await isDevice(path));
}

function placeOf(path: string): OutputPlace {
  const isFolder = /[/\\]$/.test(path) || (existsSync(path) && statSync(path).isDirectory());
  return { path, isFolder };
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
const EXTENSIONS: Readonly<Record<string, ResultFormat>> = { '.jsonl': 'jsonl', '.ndjson': 'jsonl', '.csv': 'csv' };

/** A file named `r.xml` would hold JSON lines. @throws COMMAND_INVALID */
async function formatOf(path: string, format: ResultFormat | undefined): Promise<ResultFormat> {
  if (placeOf(path).isFolder) return format ?? 'jsonl';
  const compression = compressionOf(path);
  const problem = compressionProblem(path);
  if (problem !== null) throw new SightlineError('COMMAND_INVALID', `--out: ${problem}`);
  const extension = extname(compression === null ? path : path.slice(0, -extname(path).length)).toLowerCase();
  const isNameless = extension === '' || (await isPipe(path));
  const known = isNameless ? (format ?? 'jsonl') : EXTENSIONS[extension];
  if (known === undefined || (known === 'csv' && compression !== null)) {
    const lines = Object.entries(EXTENSIONS).flatMap(([each, kind]) =>
      kind === 'csv' ? [each] : [each, `${each}.gz`, `${each}.zst`],
    );
    const hint = extension === '.json' ? ' (--coco writes one JSON document)' : '';
    throw new SightlineError(
      'COMMAND_INVALID',
      `--out: expected a folder (DIR/) or a name that ends in ${lines.join(', ')}, received "${path}"${hint}`,
    );
  }
  if (format !== undefined && format !== known)
    throw new SightlineError('COMMAND_INVALID', `--format ${format}: --out ${path} is a file of ${known}`);
  return known;
}

/** An output must not replace an input, nor become one of the next run. @throws COMMAND_INVALID */
function requireApart(inputs: readonly string[], sources: readonly string[], outputs: OutputPlan): void {
  const read = new Set(sources.map((source) => resolve(source)));
  for (const { id, path } of placesOf(outputs))
    if (read.has(resolve(path))) throw new SightlineError('COMMAND_INVALID', `${id}: ${path} is an input`);
  const { video } = outputs;
  if (video === null) return;
  for (const input of inputs) {
    const isFolder = existsSync(input) && statSync(input).isDirectory();
    const folder = `${resolve(input)}${sep}`;
    if (isFolder && `${resolve(video.path)}${sep}`.startsWith(folder))
      throw new SightlineError(
        'COMMAND_INVALID',
        `--video: ${video.path} is inside the input ${input}, so the next run would read it; choose another folder`,
      );
  }
}

/** Settings of the stream that reads an input. @throws CONFIG_INVALID */
export function detectStream(id: string, source: string, flags: DetectFlags): StreamConfig {
  const { every, track = false, skipUnchanged: unchanged = false, trackBetween = 1, insecureTls = false } = flags;
  const skip = { unchanged, trackBetween };
  return parseStream({ id, source, policy: 'file', every, track, skip, insecureTls, ...viewSettingsOf(flags) }, {});
}

/** Each has an ffmpeg and a ring of frames. */
const MOST_JOBS = 16;

/** Items at once, if the user does not say. Measured in docs/adr/0052-results-are-recorded-before-they-are-written.md. */
export function defaultJobs(): number {
  return Math.min(MOST_JOBS, availableParallelism() + 1);
}
