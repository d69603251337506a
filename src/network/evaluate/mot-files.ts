import { MIB, readGivenText } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { BestPairs } from '../../base/geometry/assignment.ts';
import { iouXywh, sharedArea } from '../../base/geometry/iou.ts';
import { type ComparedTracks, MATCH_IOU } from './tracking-score.ts';

/**
 * A line of a MOTChallenge file: a box in a frame. Files of results and detections have ten columns, ground truth of MOT15 too; that of
 * MOT16, MOT17 and MOT20 has nine, with a class and how much is visible.
 */
export interface MotBox {
  /** From 1. */
  readonly frame: number;
  /** -1 for a detection. */
  readonly id: number;
  /** Left, top, width, height in pixels. */
  readonly box: readonly [number, number, number, number];
  /** Score of a result or detection; of ground truth whether it counts. */
  readonly score: number;
}

interface TrueBox extends MotBox {
  readonly kind: 'evaluated' | 'distractor' | 'region' | 'other';
}

/** Ground truth of a sequence. */
export interface MotTruth {
  readonly path: string;
  readonly boxes: readonly TrueBox[];
  /** Nine columns: what lies on people who are not evaluated counts neither for nor against a tracker. */
  readonly hasClasses: boolean;
  /** Number of the last frame. */
  readonly frames: number;
}

/** What `seqinfo.ini` says of a sequence. */
export interface SequenceInfo {
  readonly name: string;
  readonly fps: number;
  readonly frames: number;
  readonly width: number;
  readonly height: number;
}

const TEXT_FILE = { code: 'DATASET_INVALID', mostBytes: 512 * MIB } as const;
const LEAST_COLUMNS = 6;
const SCORE_COLUMN = 6;
/** Of a sequence: no video has more frames, pixels or frames a second. */
const MOST_VALUE = 10_000_000;
const CLASS_COLUMNS = 9;
const PEDESTRIAN = 1;
/** Classes of MOT16 and later: person on a vehicle, static person, distractor, reflection. */
const DISTRACTORS: ReadonlySet<number> = new Set([2, 7, 8, 12]);
/** A region in which nothing is evaluated. */
const REGION = 13;
const REGION_SHARE = 0.5;
/** Two overlaps that differ by less are the same. */
const ROUNDING = 1e-9;

/** @throws DATASET_INVALID with the line, what was expected and what came. */
export async function readMotTruth(path: string): Promise<MotTruth> {
  const rows = await readRows(path, 'ground truth');
  if (rows.length === 0) throw invalid(path, 'expected a line for each box, received an empty file');
  const columns = Math.min(...rows.map(({ values }) => values.length));
  const hasClasses = columns === CLASS_COLUMNS;
  const boxes = rows.map((row): TrueBox => ({ ...boxOf(row), kind: kindOf(row.values, columns) }));
  requireOnce(
    path,
    rows,
    boxes.filter(({ kind }) => kind === 'evaluated'),
    boxes,
  );
  return { path, boxes, hasClasses, frames: lastOf(boxes) };
}

function kindOf(values: readonly number[], columns: number): TrueBox['kind'] {
  const [flag = 1, label = PEDESTRIAN] = values.slice(LEAST_COLUMNS);
  if (columns !== CLASS_COLUMNS) return columns > LEAST_COLUMNS && flag === 0 ? 'other' : 'evaluated';
  if (label === REGION) return 'region';
  if (DISTRACTORS.has(label)) return 'distractor';
  return flag === 1 && label === PEDESTRIAN ? 'evaluated' : 'other';
}

/** How many objects are evaluated. */
export function trueTracks({ boxes }: MotTruth): number {
  return new Set(boxes.flatMap(({ kind, id }) => (kind === 'evaluated' ? [id] : []))).size;
}

/** Reads what a tracker or a detector found. @throws as `readMotTruth` */
export async function readMotBoxes(path: string, isTracked: boolean): Promise<MotBox[]> {
  const rows = await readRows(path, isTracked ? 'tracks' : 'detections');
  const boxes = rows.map(boxOf);
  if (isTracked) requireOnce(path, rows, boxes, boxes);
  else requireScores(path, rows);
  return boxes;
}

/** @throws DATASET_INVALID */
export async function readSequenceInfo(path: string): Promise<SequenceInfo> {
  const text = await readGivenText(path, { ...TEXT_FILE, as: `${path}: cannot be read` });
  const known = new Map(Array.from(text.matchAll(/^\s*(\w+)\s*=\s*(.*?)\s*$/gm), ([, key, value]) => [key!, value!]));
  const number = (key: string): number => {
    const value = Number(known.get(key));
    if (value > 0 && value <= MOST_VALUE) return value;
    throw invalid(
      path,
      `${key}: expected a number above 0, at most ${MOST_VALUE}, received ${JSON.stringify(known.get(key) ?? null)}`,
    );
  };
  return {
    name: known.get('name') ?? path,
    fps: number('frameRate'),
    frames: number('seqLength'),
    width: number('imWidth'),
    height: number('imHeight'),
  };
}

/** A tracked box as a line of a file of results. */
export function motLine({ frame, id, box, score }: MotBox): string {
  return `${frame},${id},${box.map((value) => value.toFixed(2)).join(',')},${score.toFixed(4)},-1,-1,-1\n`;
}

/**
 * Compares tracks with the truth in every n-th frame, from the first on, by the rules of the benchmark: results on people who are not
 * evaluated, and in regions to ignore, are left out.
 */
export function compareMot(truth: MotTruth, found: readonly MotBox[], every = 1): ComparedTracks[] {
  const [trueBoxes, foundBoxes] = [byFrame(truth.boxes), byFrame(found)];
  const compared: ComparedTracks[] = [];
  const used = [...new Set([...trueBoxes.keys(), ...foundBoxes.keys()])].filter((frame) => (frame - 1) % every === 0);
  for (const frame of used.sort((a, b) => a - b)) {
    const all = trueBoxes.get(frame) ?? [];
    const results = foundBoxes.get(frame) ?? [];
    const kept = truth.hasClasses ? withoutIgnored(all, results) : results;
    const evaluated = all.filter(({ kind }) => kind === 'evaluated');
    compared.push({
      truths: evaluated.map(({ id }) => id),
      found: kept.map(({ id }) => id),
      overlaps: overlapsOf(evaluated, kept),
    });
  }
  return compared;
}

function withoutIgnored(all: readonly TrueBox[], results: readonly MotBox[]): readonly MotBox[] {
  const people = all.filter(({ kind }) => kind !== 'region');
  const regions = all.filter(({ kind }) => kind === 'region');
  const overlaps = overlapsOf(people, results);
  const pairs = new BestPairs().find(people.length, results.length, (row, column) => {
    const overlap = overlaps[row * results.length + column]!;
    return overlap < MATCH_IOU - ROUNDING ? 0 : overlap;
  });
  const matched = new Map(pairs.map(([row, column]) => [column, people[row]!]));
  return results.filter(({ box }, i) => {
    const person = matched.get(i);
    if (person?.kind === 'distractor') return false;
    return person?.kind === 'evaluated' || !regions.some((region) => insideShare(box, region.box) >= REGION_SHARE);
  });
}

function overlapsOf(truths: readonly MotBox[], found: readonly MotBox[]): Float64Array {
  const overlaps = new Float64Array(truths.length * found.length);
  let k = 0;
  for (const { box: a } of truths) for (const { box: b } of found) overlaps[k++] = iouXywh(...a, ...b);
  return overlaps;
}

/** Share of a box that lies in a region. */
function insideShare(box: MotBox['box'], region: MotBox['box']): number {
  return sharedArea(...box, ...region) / Math.max(ROUNDING, box[2] * box[3]);
}

export function byFrame<T extends MotBox>(boxes: readonly T[]): Map<number, T[]> {
  const frames = new Map<number, T[]>();
  for (const box of boxes) {
    const list = frames.get(box.frame);
    if (list === undefined) frames.set(box.frame, [box]);
    else list.push(box);
  }
  return frames;
}

interface Row {
  /** From 1. */
  readonly line: number;
  readonly values: readonly number[];
}

async function readRows(path: string, what: string): Promise<Row[]> {
  const text = await readGivenText(path, { ...TEXT_FILE, as: `${path}: cannot be read as ${what}` });
  const rows: Row[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    const trimmed = line.trim();
    if (trimmed === '') continue;
    const values = trimmed.split(/[\s,]+/).map(Number);
    const isWhole = Number.isInteger(values[0]) && values[0]! >= 1 && Number.isInteger(values[1]);
    if (values.length >= LEAST_COLUMNS && isWhole && values.every(Number.isFinite)) rows.push({ line: i + 1, values });
    else
      throw invalid(
        path,
        `line ${i + 1}: expected at least six numbers (frame from 1, id, left, top, width, height), received ${JSON.stringify(trimmed.slice(0, 80))}`,
      );
  }
  return rows;
}

function boxOf({ values }: Row): MotBox {
  const [frame, id, left, top, width, height, score = 1] = values as [number, number, number, number, number, number];
  return { frame, id, box: [left, top, width, height], score };
}

/** @throws DATASET_INVALID if an identity is in a frame twice. */
function requireOnce(path: string, rows: readonly Row[], counted: readonly MotBox[], all: readonly MotBox[]): void {
  const seen = new Set<string>();
  for (const box of counted) {
    const key = `${box.frame} ${box.id}`;
    if (seen.has(key))
      throw invalid(path, `line ${rows[all.indexOf(box)]!.line}: expected id ${box.id} once in frame ${box.frame}`);
    seen.add(key);
  }
}

/** A tracker goes by scores. @throws DATASET_INVALID */
function requireScores(path: string, rows: readonly Row[]): void {
  const wrong = rows.find(({ values }) => !(values[SCORE_COLUMN]! >= 0 && values[SCORE_COLUMN]! <= 1));
  if (wrong === undefined) return;
  const received = wrong.values[SCORE_COLUMN] ?? null;
  throw invalid(path, `line ${wrong.line}: expected a score from 0 to 1 as the seventh number, received ${received}`);
}

function lastOf(boxes: readonly MotBox[]): number {
  return boxes.reduce((last, { frame }) => Math.max(last, frame), 0);
}

function invalid(path: string, why: string): SightlineError {
  return new SightlineError('DATASET_INVALID', `${path}: ${why}`, { path });
}
