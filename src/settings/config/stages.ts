import { z } from 'zod';
import { duration } from './duration.ts';
import { id } from './id.ts';
import { modelConfig } from './model-config.ts';
import { range, whole } from './number.ts';
import { labels, point } from './track.ts';

/** What second stages call the detector of a stream. */
export const DETECTOR = 'detector';
/** Stages behind each other, the detector not counted. */
const MOST_DEEP = 3;
/** As many as a manifest may have. */
const MOST_POINTS = 256;
/** Each has its own threads and memory. */
const MOST_STAGES = 16;

const on = z.strictObject({
  from: id
    .default(DETECTOR)
    .describe('Whose objects: those of `detector`, or of another second stage that finds objects in crops.'),
  labels,
  minPixels: whole(1, 8192)
    .default(16)
    .describe('Only objects whose shorter side has at least as many pixels of the picture, at most 1920 wide.'),
  zone: id.optional().describe('Only inside this zone of the stream; nothing is looked at in streams without it.'),
  marginRatio: range(0, 1)
    .default(0)
    .describe("Added on each side, as a ratio of the box's sides, within the picture."),
  align: z
    .enum(['box', 'keypoints'])
    .optional()
    .describe(
      'box: an oriented box is cut along its angle, so that the model sees it upright. keypoints: turned, scaled and shifted so that its key points lie where `template` says. Absent: along the picture.',
    ),
  template: z
    .array(point.nullable())
    .min(2)
    .max(MOST_POINTS)
    .optional()
    .describe(
      'With align: keypoints: where each key point of the detector lies in what the model sees, as ratios of its sides; null for one that is not used. Absent: as networks for face recognition are trained, for detectors with five points.',
    ),
});

export const stageConfig = z.strictObject({
  name: id
    .refine((name) => name !== DETECTOR, 'expected another name: detector is what finds the objects')
    .describe(
      'Name of the second stage, and of the attribute that it gives; a model with several heads has names for each.',
    ),
  on: on.prefault({}).describe('The objects that it looks at.'),
  model: modelConfig.describe(
    'The model, as in `model`: one that reads crops (families heads, ctc, slots, embedding), a classifier, or a detector of boxes. One thread if threads is absent.',
  ),
  per: z
    .enum(['frame', 'track', 'bestOfTrack'])
    .default('track')
    .describe(
      'How often it looks at an object: in each frame; once for each track, see again; or at most three times for each track, each time the picture has become twice as good (size times score).',
    ),
  again: duration.optional().describe('With per: track, looks again at an object after this time. Absent: once.'),
  max: whole(1, 1000).default(8).describe('Most objects of a frame that it looks at, the largest first.'),
});

/** A second stage, with its defaults filled in. */
export type StageConfig = z.infer<typeof stageConfig>;

/** Second stages that fit together: names of their own, and chains without circles. */
export const stagesConfig = z
  .array(stageConfig)
  .max(MOST_STAGES)
  .check(({ value, issues }) => {
    const refuse = (path: (string | number)[], input: unknown, limit: string): void =>
      void issues.push({ code: 'custom', input, path, message: `expected ${limit}` });
    const names = value.map(({ name }) => name);
    for (const [i, { name, on, per, again }] of value.entries()) {
      if (names.indexOf(name) !== i) refuse([i, 'name'], name, 'a name that no other second stage has');
      if (again !== undefined && per !== 'track')
        refuse([i, 'again'], again, 'none, since only per: track looks again');
      if (on.template !== undefined && on.align !== 'keypoints')
        refuse([i, 'on', 'template'], on.template, 'none without align: keypoints');
      if (on.template !== undefined && new Set(on.template.filter((at) => at !== null).map(String)).size < 2)
        refuse([i, 'on', 'template'], on.template, 'at least two points, in different places');
      const chain = chainOf(name, value);
      if (chain === null)
        refuse([i, 'on', 'from'], on.from, `${[DETECTOR, ...names.filter((other) => other !== name)].join(' or ')}`);
      else if (chain.length > MOST_DEEP)
        refuse([i, 'on', 'from'], on.from, `at most ${MOST_DEEP} second stages behind each other, without a circle`);
    }
  });

/** Returns the names from a stage back to the detector, at most one more than may be; null if one of them is no stage. */
function chainOf(name: string, stages: readonly StageConfig[]): readonly string[] | null {
  const chain: string[] = [];
  for (let at = name; at !== DETECTOR && chain.length <= MOST_DEEP; ) {
    const stage = stages.find((each) => each.name === at);
    if (stage === undefined) return null;
    chain.push(at);
    at = stage.on.from;
  }
  return chain;
}
