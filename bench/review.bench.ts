import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom } from '../src/base/core/seeded-random.ts';
import { iouXywh } from '../src/base/geometry/iou.ts';
import { collectOnImages } from '../src/lab/optimize/gate/collect-results.ts';
import { thresholdBeside } from '../src/lab/optimize/gate/judge.ts';
import { countsOf } from '../src/lab/optimize/review/answers.ts';
import { type Answer, type ClassVerdict, judgeClass } from '../src/lab/optimize/review/class-verdict.ts';
import type { CocoAnnotations } from '../src/network/evaluate/coco-dataset.ts';
import { picturePaths, readAnnotations } from '../src/network/evaluate/coco-files.ts';
import { askedBox, type DisputedClass, disputedObjects } from '../src/network/evaluate/disputed-objects.ts';
import { type FrameMatches, matchFrames } from '../src/network/evaluate/frame-matches.ts';
import { batchConfig } from '../src/settings/config/batch.ts';
import { modelConfig } from '../src/settings/config/model-config.ts';
import type { BenchContext } from './support/bench-context.ts';
import type { Section, SectionResult } from './support/section.ts';

const TODAY = 'centernet';
const OTHERS = ['picodet-s', 'yolox-nano', 'deimv2-femto'] as const;
/** As much of a class may be lost as `--max-loss 0.02` allows. */
const ALLOWED = 0.1;
/** Fewer disputed objects are asked about one by one, whatever the order. */
const FEWEST_OBJECTS = 8;
const WRONG_RATIO = 0.1;
const SEEDS = 10;
const SAME_IOU = 0.5;

/** A class on which two detectors disagree, in labelled pictures that the review does not see. */
interface Case {
  readonly found: DisputedClass;
  readonly truth: ReadonlyMap<string, boolean>;
  /** By the labels of all its objects. */
  readonly verdict: 'worse' | 'not worse';
  /** Whether one object more or less would change it: nobody can be right about that with one wrong answer in ten. */
  readonly isAtLimit: boolean;
}

interface Outcome {
  readonly model: string;
  readonly classes: number;
  readonly atLimit: number;
  /** Verdicts of all seeds on classes that are not at the limit, and how many of them are those of the truth. */
  readonly verdicts: number;
  readonly right: number;
  readonly open: number;
  /** Means over the seeds. */
  readonly answers: number;
  readonly randomLabels: number;
}

/** How many answers settle what labels would, and whether they settle it rightly. */
export const review: Section = {
  id: 'review',
  title: 'Answers instead of labels',
  async run(context): Promise<SectionResult> {
    const folder = join(context.sharedDir, 'coco-val-100');
    if (!existsSync(folder))
      return { tables: [], targets: [], notes: [`skipped: no COCO pictures at ${folder}`], data: null };
    const annotations = await readAnnotations(join(folder, 'instances.json'));
    const paths = picturePaths(annotations, join(folder, 'images'));
    const today = await resultsOf(context, TODAY, paths);
    const outcomes: Outcome[] = [];
    for (const model of context.isQuick ? OTHERS.slice(0, 1) : OTHERS) {
      context.note(model);
      const other = await resultsOf(context, model, paths);
      const scoreThreshold = thresholdBeside(today, other, annotations) ?? other.scoreThreshold;
      const frames = matchFrames(today, { ...other, scoreThreshold });
      outcomes.push(outcomeOf(model, frames, annotations));
    }
    const sum = (value: (one: Outcome) => number): number => outcomes.reduce((total, one) => total + value(one), 0);
    const rows = outcomes.map((one) => [
      one.model,
      String(one.classes),
      String(one.atLimit),
      one.answers.toFixed(0),
      one.randomLabels.toFixed(0),
      (one.answers / one.randomLabels).toFixed(2),
      `${one.right} of ${one.verdicts}`,
      String(one.open),
    ]);
    return {
      tables: [
        {
          caption: `Against ${TODAY}, on 100 labelled pictures; one answer in ten is wrong; ${SEEDS} seeds`,
          rows: [
            [
              'detector',
              'classes',
              'at the limit',
              'answers',
              'labels of random pictures',
              'ratio',
              'right verdicts',
              'open',
            ],
            ...rows,
          ],
        },
      ],
      targets: [
        {
          what: 'answers to labels',
          measured: sum((one) => one.answers) / sum((one) => one.randomLabels),
          target: 0.5,
          want: 'at most',
          unit: '',
        },
        {
          what: 'right verdicts',
          measured: sum((one) => one.right) / sum((one) => one.verdicts - one.open),
          target: 0.95,
          want: 'at least',
          unit: '',
        },
      ],
      notes: [
        `Classes with at least ${FEWEST_OBJECTS} objects that one of the two detectors alone reports. Labels of random pictures: whole pictures are labelled in random order until each of these classes is settled by the same rule, with the same confidence; each object counts one. At the limit: one object more or less would change the verdict of all labels; such classes are asked about, and not counted as right or wrong.`,
      ],
      data: outcomes,
    };
  },
};

async function resultsOf({ environment, ffmpeg, note }: BenchContext, name: string, paths: readonly string[]) {
  const options = {
    model: modelConfig.parse({ name, engine: 'onnx' }),
    batch: batchConfig.parse({}),
    environment,
    ffmpeg,
    onNotice: note,
  };
  return collectOnImages(options, { paths, resizeBy: 'sharp', label: 'pictures' });
}

function outcomeOf(model: string, frames: readonly FrameMatches[], annotations: CocoAnnotations): Outcome {
  const labels = annotations.categories.map(({ name }) => name);
  const apart = frames.map((frame) => ({ ...frame, ptsUs: frame.frame * 10e6 }));
  const cases = disputedObjects(apart, labels)
    .classes.filter(({ objects }) => objects.length >= FEWEST_OBJECTS)
    .map((found) => caseOf(found, annotations));
  let [answers, randomLabels, verdicts, right, open] = [0, 0, 0, 0, 0];
  for (let seed = 1; seed <= SEEDS; seed += 1) {
    const random = seededRandom(seed);
    for (const one of cases) {
      const { state, asks } = askAll(one, random);
      answers += asks / SEEDS;
      if (one.isAtLimit) continue;
      verdicts += 1;
      if (state === 'open') open += 1;
      else if (state === one.verdict) right += 1;
    }
    randomLabels += labelPictures(cases, apart, annotations, random) / SEEDS;
  }
  const atLimit = cases.filter(({ isAtLimit }) => isAtLimit).length;
  return { model, classes: cases.length, atLimit, verdicts, right, open, answers, randomLabels };
}

function caseOf(found: DisputedClass, annotations: CocoAnnotations): Case {
  const truth = new Map(
    found.objects.map((object): [string, boolean] => {
      const { atUs, box } = askedBox(object);
      return [object.id, isThere(found.label, Math.round(atUs / 10e6), box, annotations)];
    }),
  );
  const verdict = exactVerdict(found, truth);
  const isAtLimit = [...truth].some(
    ([id, there]) => exactVerdict(found, new Map([...truth, [id, !there]])) !== verdict,
  );
  return { found, truth, verdict, isAtLimit };
}

/** By the same two losses, without any doubt. */
function exactVerdict({ both, objects }: DisputedClass, truth: ReadonlyMap<string, boolean>): Case['verdict'] {
  const boxes = (by: 'today' | 'new', isWanted: (id: string) => boolean): number =>
    objects
      .filter((object) => object.by === by && isWanted(object.id))
      .reduce((sum, object) => sum + object.boxes.length, 0);
  const isTrue = (id: string): boolean => truth.get(id)!;
  const [today, fresh] = [both + boxes('today', () => true), both + boxes('new', () => true)];
  const lost = (boxes('today', isTrue) - boxes('new', isTrue)) / Math.max(1, today);
  const right = (both + boxes('today', isTrue)) / today - (both + boxes('new', isTrue)) / fresh;
  // Who reports nothing reports nothing wrong.
  return lost > ALLOWED || (today > 0 && fresh > 0 && right > ALLOWED) ? 'worse' : 'not worse';
}

function isThere(
  label: string,
  place: number,
  box: readonly number[],
  { images, categories, annotations }: CocoAnnotations,
): boolean {
  const [x, y, width, height] = box as [number, number, number, number];
  const category = categories.find(({ name }) => name === label)!.id;
  return annotations.some(
    (one) =>
      one.imageId === images[place]!.id &&
      one.categoryId === category &&
      iouXywh(x, y, width, height, one.box[0], one.box[1], one.box[2], one.box[3]) >= SAME_IOU,
  );
}

/** Asks somebody who is wrong now and then, until nothing is left to ask. */
function askAll(
  { found, truth }: Case,
  random: () => number,
): { readonly state: ClassVerdict['state']; readonly asks: number } {
  const answers = new Map<string, Answer[]>();
  for (let asks = 0; ; asks += 1) {
    const { next, state } = judgeClass(countsOf(found), answers, ALLOWED);
    if (next === null) return { state, asks };
    const said = truth.get(next)! !== random() < WRONG_RATIO;
    answers.set(next, [...(answers.get(next) ?? []), said ? 'yes' : 'no']);
  }
}

/** Labels pictures in random order until each class is settled by what is known then. @returns labels */
function labelPictures(
  cases: readonly Case[],
  frames: readonly FrameMatches[],
  { images, annotations }: CocoAnnotations,
  random: () => number,
): number {
  const order = frames.map((frame) => ({ frame, at: random() })).sort((a, b) => a.at - b.at);
  const answers = cases.map(() => new Map<string, Answer[]>());
  const isOpen = (): boolean =>
    cases.some(({ found }, i) => judgeClass(countsOf(found), answers[i]!, ALLOWED).state === 'open');
  let labels = 0;
  for (const { frame } of order) {
    if (!isOpen()) break;
    const image = images[frame.frame]!.id;
    labels += Math.max(1, annotations.filter(({ imageId }) => imageId === image).length);
    for (const [i, { found, truth }] of cases.entries())
      for (const object of found.objects)
        if (askedBox(object).atUs === frame.ptsUs) {
          const there = truth.get(object.id)! ? 'yes' : 'no';
          answers[i]!.set(object.id, [there, there]);
        }
  }
  return labels;
}
