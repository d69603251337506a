import { join } from 'node:path';
import { z } from 'zod';
import { isMissing, MOST_BYTES, readGivenText } from '../../../base/disk/given-file.ts';
import { iouXywh } from '../../../base/geometry/iou.ts';
import type { DisputedClass, DisputedObject } from '../../../network/evaluate/disputed-objects.ts';
import { check, parseJson } from '../../../settings/config/check.ts';
import type { Difference } from '../gate/difference.ts';
import { type Answer, type ClassVerdict, type DisputedCounts, judgeClass, rangeText } from './class-verdict.ts';

/** Name of the file with answers in the folder of a report. */
export const ANSWERS_FILE = 'answers.json';

const answer = z.object({
  label: z.string().min(1),
  /** `sha256` of the recording. */
  recording: z.string().min(1),
  /** Media time in the recording, in microseconds. */
  atUs: z.number().int().min(0),
  /** x, y, width, height in pixels. */
  box: z.tuple([z.number(), z.number(), z.number(), z.number()]),
  answer: z.enum(['yes', 'no', 'unknown']),
});

const answersFile = z.object({
  kind: z.literal('sightline-answers'),
  version: z.literal(1),
  answers: z.array(answer).max(100_000),
});

/** What somebody said about one object: whether it is what a detector calls it. */
export type GivenAnswer = z.output<typeof answer>;

/** A box of an answer and one of an object show the same from this overlap on, ... */
const SAME_IOU = 0.5;
/** ... within half a frame at 25 frames/s. */
const SAME_TIME_US = 20_000;
/** Reads a file of answers. @throws COMMAND_INVALID if there is none; CONFIG_INVALID if it is not one. */
export async function readAnswers(path: string): Promise<GivenAnswer[]> {
  const as = `--answers ${path}: expected a file of answers, as the review of "sightline optimize" writes it`;
  const content = await readGivenText(path, { code: 'COMMAND_INVALID', as, mostBytes: MOST_BYTES.json });
  return parseAnswers(content, path);
}

/** The answers in the folder of a report; none if nobody has answered. @throws CONFIG_INVALID for a damaged file; COMMAND_INVALID if it cannot be read */
export async function keptAnswers(report: string): Promise<GivenAnswer[]> {
  try {
    return await readAnswers(join(report, ANSWERS_FILE));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** @param where - for messages. @throws CONFIG_INVALID */
export function parseAnswers(content: string, where: string): GivenAnswer[] {
  return check(answersFile, parseJson(content, where, 'a JSON document of answers'), where).answers;
}

/** @returns the text of a file of answers. */
export function answersText(answers: readonly GivenAnswer[]): string {
  return `${JSON.stringify({ kind: 'sightline-answers', version: 1, answers }, null, 1)}\n`;
}

/** Finds the answers for objects, by their id: those for the same label at the same time and place, in turn. */
function answersFor({ label, objects }: DisputedClass, given: readonly GivenAnswer[]): Map<string, readonly Answer[]> {
  const own = given.filter((one) => one.label === label);
  const found = new Map<string, readonly Answer[]>();
  for (const object of objects) {
    const answers = own.filter((one) => isAbout(one, object)).map((one) => one.answer);
    if (answers.length > 0) found.set(object.id, answers);
  }
  return found;
}

function isAbout({ atUs, box }: GivenAnswer, { boxes }: DisputedObject): boolean {
  return boxes.some((one) => Math.abs(one.atUs - atUs) <= SAME_TIME_US && iouXywh(...one.box, ...box) >= SAME_IOU);
}

/** What answers make of the differences that a clip shows. */
export interface SettledByAnswers {
  /** What is still open. */
  readonly open: readonly Difference[];
  /** Classes that lose nothing by the answers. */
  readonly settled: readonly Difference[];
  /** Sentences about classes that are worse by the answers: they refuse. */
  readonly objections: readonly string[];
}

/**
 * Settles differences of classes by what people have said about the objects.
 *
 * @param given - answers for the same recording. @param allowed - share of a class that may be lost, 0 to 1.
 */
export function settledByAnswers(
  differences: readonly Difference[],
  disputed: readonly DisputedClass[],
  given: readonly GivenAnswer[],
  allowed: number,
): SettledByAnswers {
  const [open, settled, objections]: [Difference[], Difference[], string[]] = [[], [], []];
  for (const difference of differences) {
    const found = difference.kind === 'class' && disputed.find(({ label }) => label === difference.subject);
    const answers = found ? answersFor(found, given) : new Map<string, readonly Answer[]>();
    if (!found || answers.size === 0) {
      open.push(difference);
      continue;
    }
    const verdict = judgeClass(countsOf(found), answers, allowed);
    const text = `${difference.text}; ${verdictText(verdict)}`;
    if (verdict.state === 'open') open.push({ ...difference, text });
    else if (verdict.state === 'not worse') settled.push({ ...difference, text });
    else objections.push(`${difference.subject}: ${verdictText(verdict)}`);
  }
  return { open, settled, objections };
}

/** What a verdict on a class needs. */
export function countsOf({ label, both, objects }: DisputedClass): DisputedCounts {
  return { label, both, objects: objects.map(({ id, by, boxes }) => ({ id, by, frames: boxes.length })) };
}

/** Says what answers have shown of a class. */
export function verdictText({ state, lost, answered, more }: ClassVerdict): string {
  const by = `by ${answered} ${answered === 1 ? 'answer' : 'answers'} it finds ${rangeText(lost)} of 100`;
  if (state !== 'open') return `${by}, which is ${state}`;
  return more === null
    ? `${by}, and no picture is left that would settle it`
    : `${by}; about ${more} more would settle it`;
}
