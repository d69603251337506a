import { z } from 'zod';
import { PICTURE_STATES } from '../../base/core/blind-sign.ts';
import type { RatioPoint } from '../../base/core/detection.ts';
import { CROSSING_DIRECTIONS } from '../../base/core/frame.ts';
import { duration } from './duration.ts';
import { compileExpression, MOST_EXPRESSION_CHARS } from './expression.ts';
import { id } from './id.ts';
import { range } from './number.ts';
import type { regionConfig } from './region.ts';
import { labels } from './track.ts';
import { weeklyTimes } from './weekly-times.ts';

const zone = id.describe('Only inside this zone of the stream.');

const when = z
  .string()
  .min(1)
  .max(MOST_EXPRESSION_CHARS)
  .check(({ value, issues }) => {
    const result = compileExpression(value);
    if (typeof result === 'string')
      issues.push({ code: 'custom', input: value, path: [], message: `expected a condition in CEL; ${result}` });
  });

/** Seconds of an event's clip around it. */
const clip = z.strictObject({
  before: duration.default('5s').describe('From at least so long before the event was raised.'),
  after: duration.default('5s').describe('To at least so long after it was over.'),
});

const common = {
  id: id.describe('Name of the rule, unique within its stream.'),
  times: weeklyTimes.optional().describe('Raises events only at these times of the week; always if absent.'),
  cooldown: duration
    .default('0s')
    .describe('After an event, the rule raises no other one on its stream for this long.'),
  when: when
    .optional()
    .describe(
      'Another condition, in CEL, with label, score, age, held, size, speed, count, hour and attributes of second stages: "score > 0.6 && size > 0.2".',
    ),
  clip: clip
    .optional()
    .describe('Keeps a clip and a picture of each event, in the folder of `recording`; none if absent.'),
};

const hold = duration.describe('How long it must hold before an event is raised.');

/** Of rules about objects. */
const objects = {
  labels,
  minScore: range(0, 1).optional().describe('Only objects that have reached this score.'),
  minSize: range(0, 1).optional().describe("Only objects at least this tall, as a ratio of the picture's height."),
};

const everywhere = { ...objects, zone: zone.optional() };

const appears = z.strictObject({
  kind: z.literal('appears').describe('An object is seen.'),
  ...common,
  ...objects,
  for: hold.default('0s'),
});

const leaves = z.strictObject({
  kind: z.literal('leaves').describe('An object is seen no more.'),
  ...common,
  ...everywhere,
  for: duration.default('1s').describe('Only objects that had been seen for this long.'),
});

const enters = z.strictObject({
  kind: z.literal('enters').describe('An object is inside a zone, also if it is first seen there.'),
  ...common,
  ...objects,
  zone: id.describe('The zone.'),
});

const exits = z.strictObject({
  kind: z.literal('exits').describe('An object was inside a zone, and is seen outside of it.'),
  ...common,
  ...objects,
  zone: id.describe('The zone.'),
});

const dwells = z.strictObject({
  kind: z.literal('dwells').describe('An object stays inside a zone, or in the picture.'),
  ...common,
  ...everywhere,
  for: hold,
});

const crosses = z.strictObject({
  kind: z.literal('crosses').describe('An object crosses a line.'),
  ...common,
  ...objects,
  line: id.describe('The line.'),
  direction: z.enum(CROSSING_DIRECTIONS).optional().describe('Only this way; both if absent.'),
});

const countRule = z
  .strictObject({
    kind: z.literal('count').describe('There are more or fewer objects than a number, in a zone or in the picture.'),
    ...common,
    ...everywhere,
    above: z.int().min(0).max(100_000).optional().describe('More than this number.'),
    below: z.int().min(1).max(100_000).optional().describe('Fewer than this number.'),
    for: hold.default('0s'),
  })
  .check(({ value: { above, below }, issues }) => {
    if (issues.length > 0) return;
    const refuse = (message: string): void =>
      void issues.push({ code: 'custom', input: above, path: ['above'], message });
    if (above === undefined && below === undefined) refuse('expected above, below or both');
    else if (above !== undefined && below !== undefined && above + 1 >= below)
      refuse(`expected a number below ${below - 1}, since no number is above ${above} and below ${below}`);
  });

const speed = z.strictObject({
  kind: z.literal('speed').describe('An object moves faster than a limit.'),
  ...common,
  ...everywhere,
  above: range(0, 1000).describe('Metres per second if the zone has a scale, else picture heights per second.'),
  for: hold.default('500ms'),
});

const stationary = z.strictObject({
  kind: z.literal('stationary').describe('An object does not move.'),
  ...common,
  ...everywhere,
  for: hold,
});

const picture = z.strictObject({
  kind: z.literal('picture').describe('The camera is covered, turned or stuck, or it is dark.'),
  ...common,
  signs: z.array(z.enum(PICTURE_STATES)).min(1).optional().describe('Only these; all but `dark` if absent.'),
  for: hold.default('0s'),
});

/** What can be wrong with a stream. */
const STREAM_TROUBLES = ['down', 'target-missed'] as const;

const stream = z.strictObject({
  kind: z.literal('stream').describe('The stream is down, or misses its target.'),
  ...common,
  troubles: z.array(z.enum(STREAM_TROUBLES)).min(1).optional().describe('Only these; all if absent.'),
  for: hold.default('10s'),
});

export const ruleConfig = z.discriminatedUnion('kind', [
  appears,
  leaves,
  enters,
  exits,
  dwells,
  crosses,
  countRule,
  speed,
  stationary,
  picture,
  stream,
]);

/** A rule of events, with its defaults filled in. */
export type RuleConfig = z.infer<typeof ruleConfig>;

/** The rules of one kind. */
export type RuleOf<K extends RuleConfig['kind']> = Extract<RuleConfig, { kind: K }>;

/** Kinds that follow objects from frame to frame. */
const WITH_TRACKS: ReadonlySet<RuleConfig['kind']> = new Set([
  'appears',
  'leaves',
  'enters',
  'exits',
  'dwells',
  'crosses',
  'speed',
  'stationary',
]);

/** Returns whether a rule needs the identity of objects. */
export function ruleNeedsTracks({ kind }: Pick<RuleConfig, 'kind'>): boolean {
  return WITH_TRACKS.has(kind);
}

/** The settings of a stream that its rules must fit. */
interface RuledStream {
  readonly events: readonly RuleConfig[];
  readonly zones: readonly {
    readonly id: string;
    readonly polygon: readonly RatioPoint[];
    readonly labels?: readonly string[] | undefined;
  }[];
  readonly lines: readonly { readonly id: string; readonly labels?: readonly string[] | undefined }[];
  readonly labels?: readonly string[] | undefined;
  readonly region?: z.infer<typeof regionConfig> | undefined;
}

/** A rule that names what is not there, or that can never be met. */
interface RuleProblem {
  /** Within the list of rules. */
  readonly path: readonly (string | number)[];
  readonly input: unknown;
  readonly expected: string;
}

/** Returns what is wrong with the rules of a stream, given its zones, lines, labels and region. */
export function ruleProblems(stream: RuledStream): RuleProblem[] {
  return stream.events.flatMap((rule, i) => {
    const at = (key: string, input: unknown, expected: string): RuleProblem[] => [{ path: [i, key], input, expected }];
    const zone = 'zone' in rule && rule.zone !== undefined ? stream.zones.find(({ id }) => id === rule.zone) : null;
    if (zone === undefined) return at('zone', (rule as { zone?: string }).zone, namesOf('zone', stream.zones));
    const line = rule.kind === 'crosses' ? stream.lines.find(({ id }) => id === rule.line) : null;
    if (line === undefined) return at('line', (rule as { line?: string }).line, namesOf('line', stream.lines));
    if (zone !== null && isOutside(zone.polygon, stream.region))
      return at('zone', zone.id, 'a zone that reaches into the region of the stream: nothing is found outside of it');
    const wanted = 'labels' in rule ? rule.labels : undefined;
    const reported = [stream.labels, zone?.labels, line?.labels].find(
      (labels) => labels !== undefined && wanted !== undefined && !wanted.some((label) => labels.includes(label)),
    );
    return reported === undefined
      ? []
      : at('labels', wanted, `one of ${reported.join(', ')}: no other reaches the rule`);
  });
}

/** Returns what is expected of a name. */
export function namesOf(noun: string, list: readonly { readonly id: string }[]): string {
  return list.length === 0
    ? `a ${noun} of the stream, which has none`
    : `a ${noun} of the stream: ${list.map(({ id }) => id).join(', ')}`;
}

function isOutside(polygon: readonly RatioPoint[], region: RuledStream['region']): boolean {
  if (region === undefined || region === 'zones') return false;
  const [xs, ys] = [polygon.map(([x]) => x), polygon.map(([, y]) => y)];
  const misses = (values: number[], from: number, size: number): boolean =>
    Math.max(...values) <= from || Math.min(...values) >= from + size;
  return misses(xs, region.x, region.width) || misses(ys, region.y, region.height);
}
