import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type GivenFile, MOST_BYTES, readGiven } from '../../../base/disk/given-file.ts';
import { writeWholeFile } from '../../../base/disk/replace-file.ts';
import { type GivenAnswer, verdictText } from './answers.ts';
import { type Answer, type ClassVerdict, judgeClass } from './class-verdict.ts';
import type { ReviewFile } from './review-schema.ts';

/** What answers make of the faster pipeline of a report. */
export interface ReviewVerdict {
  /** `proven`: nothing is open, so it became `best.yaml`; `refused`: a class is worse; `open`: more answers, or somebody's own decision, are needed. */
  readonly state: 'proven' | 'refused' | 'open';
  readonly candidate: string;
  readonly classes: readonly { readonly label: string; readonly verdict: ClassVerdict; readonly text: string }[];
  /** Points that no answer settles. */
  readonly others: readonly string[];
  /** Answers for this recording about no object of the review. */
  readonly unused: number;
  /** Answers that would settle the open classes; null where the pictures do not suffice. */
  readonly more: number | null;
}

/** Judges the classes of a review by answers. Those for another recording count nothing. */
export function judgeReview(review: ReviewFile, given: readonly GivenAnswer[]): ReviewVerdict {
  const own = given.filter(({ recording }) => recording === review.recording);
  const classes = review.classes.map(({ label, both, objects }) => {
    const answers = new Map<string, readonly Answer[]>();
    for (const { id, ...object } of objects) {
      const place = placeOf({ label, ...object });
      const about = own.filter((one) => placeOf(one) === place).map(({ answer }) => answer);
      if (about.length > 0) answers.set(id, about);
    }
    const counts = objects.map(({ id, by, frames, picture }) => ({
      id,
      by,
      frames,
      hasPicture: picture !== undefined,
    }));
    const verdict = judgeClass({ label, both, objects: counts }, answers, review.allowed);
    return { label, verdict, text: verdictText(verdict) };
  });
  const used = new Set(
    review.classes.flatMap(({ label, objects }) => objects.map((object) => placeOf({ label, ...object }))),
  );
  const unused = own.filter((one) => !used.has(placeOf(one))).length;
  const is = (state: ClassVerdict['state']): boolean => classes.some(({ verdict }) => verdict.state === state);
  const more = classes.map(({ verdict }) => verdict.more);
  return {
    state: is('worse') ? 'refused' : is('open') || review.others.length > 0 ? 'open' : 'proven',
    candidate: review.candidate,
    classes,
    others: review.others,
    unused,
    more: more.includes(null) ? null : more.reduce<number>((sum, one) => sum + one!, 0),
  };
}

/** What an answer is about: the same of an object and of its answers. */
function placeOf({ label, atUs, box }: Pick<GivenAnswer, 'label' | 'atUs' | 'box'>): string {
  return `${label} ${atUs} ${box.join()}`;
}

/**
 * Makes the faster pipeline of a report its best one, after answers have proven it. The earlier best is kept beside it.
 *
 * @returns paths of what was written. @throws COMMAND_INVALID if one is missing; the system's error
 */
export async function takeFaster(folder: string): Promise<readonly string[]> {
  const { best, earlier, bestText, fasterText } = await pipelinesIn(folder);
  // Taken before: what is kept is the one before the review.
  if (bestText !== fasterText) {
    await writeWholeFile(earlier, bestText);
    await writeWholeFile(best, fasterText);
  }
  return [best, earlier];
}

/**
 * Gives the best pipeline of before back, if answers had made the faster one the best and do so no more.
 *
 * @returns its path; null if it was never replaced. @throws as `takeFaster`
 */
export async function giveBack(folder: string): Promise<string | null> {
  const { best, earlier, bestText, fasterText } = await pipelinesIn(folder);
  if (bestText !== fasterText || !existsSync(earlier)) return null;
  await writeWholeFile(best, (await readGiven(earlier, givenIn(folder))).toString('utf8'));
  return best;
}

async function pipelinesIn(folder: string) {
  const [best, faster] = [join(folder, 'best.yaml'), join(folder, 'faster.yaml')];
  const textOf = async (path: string): Promise<string> => (await readGiven(path, givenIn(folder))).toString('utf8');
  return {
    best,
    earlier: join(folder, 'best-before-review.yaml'),
    bestText: await textOf(best),
    fasterText: await textOf(faster),
  };
}

/** Somebody else may have made the report: links in it could lead anywhere. */
function givenIn(folder: string): GivenFile {
  return { code: 'COMMAND_INVALID', mostBytes: MOST_BYTES.picture, noLinksBelow: folder };
}

/**
 * Writes the pictures of a review as a COCO data set with what both detectors report as boxes to be corrected, for CVAT or Label Studio.
 *
 * @param report - folder of the review. @param folder - of the data set: `annotations.json` and `images`.
 * @returns paths of what was written, and how many pictures there are. @throws the system's error
 */
export async function exportFrames(
  review: ReviewFile,
  report: string,
  folder: string,
): Promise<{
  readonly annotations: string;
  readonly images: string;
  readonly pictures: number;
  readonly boxes: number;
}> {
  const images = join(folder, 'images');
  await mkdir(images, { recursive: true });
  const labels = [...new Set(review.frames.flatMap(({ boxes }) => boxes.map(({ label }) => label)))].sort();
  const { width, height } = review.size;
  const name = (picture: string): string => picture.slice(picture.lastIndexOf('/') + 1);
  for (const { picture } of review.frames)
    await writeWholeFile(join(images, name(picture)), await readGiven(join(report, picture), givenIn(report)));
  const boxes = review.frames.flatMap(({ boxes: found }, i) => found.map((one) => ({ ...one, image: i + 1 })));
  const dataset = {
    info: {
      description: `Frames of ${review.subject} on which two detectors disagree. Correct the boxes before you use them as labels.`,
    },
    images: review.frames.map(({ picture }, i) => ({ id: i + 1, file_name: name(picture), width, height })),
    categories: labels.map((label, i) => ({ id: i + 1, name: label })),
    annotations: boxes.map(({ label, box, image }, i) => ({
      id: i + 1,
      image_id: image,
      category_id: labels.indexOf(label) + 1,
      bbox: box,
      area: box[2] * box[3],
      iscrowd: 0,
    })),
  };
  const annotations = join(folder, 'annotations.json');
  await writeWholeFile(annotations, `${JSON.stringify(dataset, null, 1)}\n`);
  return { annotations, images, pictures: review.frames.length, boxes: boxes.length };
}
