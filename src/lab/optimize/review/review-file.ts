import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MOST_BYTES, readGivenText } from '../../../base/disk/given-file.ts';
import type { ClipBlock } from '../../../frame/decode/cut-blocks.ts';
import type { FfmpegBinary } from '../../../frame/decode/ffmpeg-binary.ts';
import { selectFrames } from '../../../frame/decode/select-frames.ts';
import { askedBox, type Disputes } from '../../../network/evaluate/disputed-objects.ts';
import { check, parseJson } from '../../../settings/config/check.ts';
import type { Difference } from '../gate/difference.ts';
import { countsOf } from './answers.ts';
import { askedObjects } from './class-verdict.ts';
import { type ReviewFile, reviewFile } from './review-schema.ts';

/** Names of the review in the folder of a report: what is asked, and the pictures. */
export const REVIEW_FILE = 'review.json';
const PICTURES = 'review';
/** Objects of a class that are shown. */
const MOST_ASKED = 24;

/** What a review is made of. */
export interface ReviewInput
  extends Pick<ReviewFile, 'subject' | 'createdAt' | 'candidate' | 'recording' | 'size' | 'allowed'> {
  readonly differences: readonly Difference[];
  readonly disputes: Disputes;
  /** Parts of the recording that hold the disputed objects. */
  readonly blocks: readonly ClipBlock[];
}

/**
 * Makes the review of what only people can settle, and writes its pictures into the folder of the report; those of an earlier run go.
 *
 * @returns null if there is nothing that answers would settle.
 * @throws SOURCE_*, DECODE_EXITED, FFMPEG_MISSING
 */
export async function makeReview(
  input: ReviewInput,
  folder: string,
  ffmpeg: FfmpegBinary,
  signal: AbortSignal,
): Promise<ReviewFile | null> {
  const { differences, disputes, blocks, ...facts } = input;
  const pictures = join(folder, PICTURES);
  await rm(pictures, { recursive: true, force: true });
  const classes = differences.flatMap((difference) => {
    const found = difference.kind === 'class' && disputes.classes.find(({ label }) => label === difference.subject);
    return found && found.objects.length > 0 ? [{ found, text: difference.text }] : [];
  });
  if (classes.length === 0) return null;
  const asked = new Set(classes.flatMap(({ found }) => [...askedObjects(countsOf(found), MOST_ASKED)]));
  const objects = classes.flatMap(({ found }) => found.objects.filter(({ id }) => asked.has(id)));
  await mkdir(pictures, { recursive: true });
  const timesUs = [...new Set(objects.map((object) => askedBox(object).atUs))].sort((a, b) => a - b);
  const names = await writePictures(timesUs, blocks, pictures, ffmpeg, signal);
  const settles = new Set(classes.map(({ found }) => found.label));
  return {
    kind: 'sightline-review',
    version: 1,
    ...facts,
    others: differences
      .filter(({ kind, subject }) => kind !== 'class' || !settles.has(subject))
      .map(({ text }) => text),
    classes: classes.map(({ found: { label, both, objects: all }, text }) => ({
      label,
      text,
      both,
      objects: all.map((object) => {
        const { atUs, box: shown } = askedBox(object);
        const picture = asked.has(object.id) ? names.get(atUs) : undefined;
        return {
          id: object.id,
          by: object.by,
          frames: object.boxes.length,
          atUs,
          box: [...shown],
          ...(object.other === undefined ? {} : { other: { label: object.other.label, box: [...object.other.box] } }),
          ...(picture === undefined ? {} : { picture }),
        };
      }),
    })),
    frames: disputes.frames.flatMap(({ atUs, boxes }) => {
      const picture = names.get(atUs);
      return picture === undefined
        ? []
        : [{ picture, boxes: boxes.map(({ label, box: found }) => ({ label, box: [...found] })) }];
    }),
  } as ReviewFile;
}

/** @returns paths in the folder of the report, by media time in the recording. */
async function writePictures(
  timesUs: readonly number[],
  blocks: readonly ClipBlock[],
  folder: string,
  ffmpeg: FfmpegBinary,
  signal: AbortSignal,
): Promise<Map<number, string>> {
  const names = new Map<number, string>();
  for (const [place, { path, startUs }] of blocks.entries()) {
    const end = blocks[place + 1]?.startUs ?? Number.POSITIVE_INFINITY;
    const own = timesUs.filter((us) => us >= startUs && us < end);
    if (own.length === 0) continue;
    const prefix = String(place + 1).padStart(2, '0');
    await selectFrames(
      ffmpeg,
      path,
      own.map((us) => us - startUs),
      join(folder, `${prefix}-%04d.jpg`),
      signal,
    );
    for (const [i, us] of own.entries()) names.set(us, `${PICTURES}/${prefix}-${String(i + 1).padStart(4, '0')}.jpg`);
  }
  return names;
}

/**
 * Reads the review in the folder of a report.
 *
 * @throws COMMAND_INVALID if the folder has none; CONFIG_INVALID if it is damaged.
 */
export async function readReview(folder: string): Promise<ReviewFile> {
  const path = join(folder, REVIEW_FILE);
  const as = `--report ${folder}: expected a report of "sightline optimize" that leaves something to look at, with ${REVIEW_FILE}`;
  const content = await readGivenText(path, {
    code: 'COMMAND_INVALID',
    as,
    mostBytes: MOST_BYTES.json,
    noLinksBelow: folder,
  });
  return check(reviewFile, parseJson(content, path), path);
}
