import { parse } from 'yaml';
import { z } from 'zod';
import { MOST_BYTES, readGivenText } from '../disk/given-file.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { check } from './check.ts';
import { range, whole } from './number.ts';
import { yamlFault } from './yaml-fault.ts';

const isOn = z.boolean().default(true).describe('Judge by this guard.');

function guard(subject: string, margin: number, largest: number, doc: string) {
  const settings = { isOn, margin: range(0.0001, largest).default(margin).describe(doc) };
  return z.strictObject(settings).prefault({}).describe(subject);
}

/** A guard that judges each part beside the sum: a part has less data, so it may differ more. */
function guardOfParts(
  subject: string,
  margin: readonly [all: number, part: number],
  largest: readonly [all: number, part: number],
  doc: readonly [all: string, part: string],
) {
  const settings = {
    isOn,
    margin: range(0.0001, largest[0]).default(margin[0]).describe(doc[0]),
    partMargin: range(0.01, largest[1]).default(margin[1]).describe(doc[1]),
  };
  return z.strictObject(settings).prefault({}).describe(subject);
}

/** When a roll-out goes on, and when it goes back. */
export const guardsConfig = z.strictObject({
  alpha: range(0.0001, 0.2)
    .default(0.05)
    .describe(
      'Probability that a guard passes a candidate beyond its margin in a step, however often it is looked at.',
    ),
  rollbackAlpha: range(0.00001, 0.2)
    .default(0.01)
    .describe(
      'Probability that a candidate within all margins is rolled back, in all steps, streams and classes together.',
    ),
  agreement: z
    .strictObject({
      isOn,
      margin: range(0.0001, 1)
        .default(0.03)
        .describe('Largest loss of F1 at IoU 0.5 against the control, on shadow frames.'),
      partMargin: range(0.01, 1)
        .default(0.3)
        .describe('Largest loss of F1 on one stream, for one class, or for one class on one stream.'),
      scoreSlack: range(0, 0.5)
        .default(0.1)
        .describe('A box is only missed if its score is this much above the score threshold: weak boxes come and go.'),
    })
    .prefault({})
    .describe('Whether the candidate detects what the control detects.'),
  p99: guardOfParts(
    'Latency from captured to published.',
    [0.1, 1],
    [10, 10],
    ['Largest relative rise of the 99th percentile of latency.', 'The same for one stream.'],
  ),
  fps: guardOfParts(
    'Frames per second attained.',
    [0.02, 0.1],
    [1, 1],
    ['Largest relative fall of the frames per second attained.', 'The same for one stream.'],
  ),
  drops: guardOfParts(
    'Frames dropped.',
    [0.01, 0.2],
    [1, 1],
    ['Largest rise of the share of frames dropped.', 'The same for one stream.'],
  ),
  boxes: guardOfParts(
    'How much is detected.',
    [0.1, 0.5],
    [10, 1],
    [
      'Largest relative change of the number of boxes, up or down.',
      'Largest share of boxes missing on one stream, for one class, or for one class on one stream.',
    ],
  ),
  confidence: guard('How sure the candidate is.', 0.05, 1, 'Largest fall of the mean confidence of the boxes.'),
  // Of an equal model the time by the clock rose by 18 % on a quiet machine of two cores, and by 51 % on a busy one; CPU time
  // rises less, but a thread with a quarter of the streams runs on cold caches.
  deviceTime: guard('What an inference costs.', 0.5, 10, 'Largest relative rise of the CPU time of an inference.'),
  hard: z
    .strictObject({
      isOn,
      errorRatio: range(0.0001, 1).default(0.05).describe('Largest share of frames whose inference fails.'),
      silenceMs: whole(1000, 600_000).default(5000).describe('Longest time without a result while frames arrive.'),
      p99Factor: range(1, 100)
        .default(2)
        .describe('Latency from which on a frame is slow, as a multiple of the target of its stream.'),
      restarts: whole(1, 100)
        .default(3)
        .describe('Restarts of the engine within restartWindowMs that are a crash loop.'),
      restartWindowMs: whole(1000, 3_600_000).default(60_000).describe('Time in which restarts are counted.'),
    })
    .prefault({})
    .describe('What no candidate may do even for a few seconds.'),
});

export type GuardsConfig = z.infer<typeof guardsConfig>;

/** Reads a guards file. @throws CONFIG_NOT_FOUND, CONFIG_INVALID */
export async function loadGuards(path: string): Promise<GuardsConfig> {
  return parseGuards(await readGivenText(path, { code: 'CONFIG_NOT_FOUND', mostBytes: MOST_BYTES.settings }), path);
}

/** Parses the text of a guards file; an empty one has the defaults. @throws CONFIG_INVALID */
export function parseGuards(text: string, where: string): GuardsConfig {
  let raw: unknown;
  try {
    raw = parse(text, { logLevel: 'error' });
  } catch (error) {
    throw new SightlineError('CONFIG_INVALID', `${where}: not valid YAML: ${yamlFault(error)}`, { where });
  }
  return check(guardsConfig, raw ?? {}, where);
}
