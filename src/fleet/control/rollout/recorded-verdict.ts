import { z } from 'zod';
import { counted } from '../../../base/core/counted.ts';
import { shareInterval } from '../../../base/statistics/binomial-bound.ts';
import { range, whole } from '../../../settings/config/number.ts';
import type {
  GuardReport,
  GuardSettings,
  GuardVerdict,
  RecordedFinding,
  RecordedObservation,
  Rollout,
  StreamFinding,
} from '../../../wire/protocol/rollout-records.ts';
import { MOST_FINDINGS } from '../../../wire/protocol/rollout-records.ts';
import { percent } from './observed.ts';

/** Name of the report on what both versions make of the recordings. */
export const RECORDED = 'recorded';
/** That an interval misses the share. */
const RISK = 0.05;

/** The section `recorded` of a guards file. */
export const recordedSettings = z
  .strictObject({
    maxLostShare: range(0, 1).default(0.1).describe('Largest share of the events of the control that may be lost.'),
    maxGainedShare: range(0, 1)
      .default(0.5)
      .describe('Largest share of the events of the candidate that the control may lack; 1 does not judge it.'),
    limitMs: whole(1000, 43_200_000)
      .default(14_400_000)
      .describe('Longest time of the step. What is not judged by then stays undecided.'),
    undecided: z
      .enum(['wait', 'continue'])
      .default('wait')
      .describe('If the events are too few to judge: a person decides, or the roll-out continues with its next step.'),
  })
  .prefault({})
  .describe('Whether events of the rules are lost or gained on what is recorded. Only with --recorded.');
type RecordedSettings = z.infer<typeof recordedSettings>;

/** From the settings in a record, which an older host may have made. */
export function recordedSettingsOf({ recorded }: GuardSettings): RecordedSettings {
  return recordedSettings.catch(recordedSettings.parse({})).parse(recorded ?? {});
}

/** Returns whether both versions run over what is recorded now: the first step of a roll-out that was asked to. Nothing of the candidate runs live. */
export function isRecordedStep({ recorded, step }: Pick<Rollout, 'recorded' | 'step'>): boolean {
  return recorded !== undefined && step === 0;
}

/** What hosts have found so far. */
export interface RecordedEvidence {
  /** By host. */
  readonly found: ReadonlyMap<string, RecordedObservation>;
  readonly hosts: readonly string[];
  /** Streams that the roll-out concerns. */
  readonly streams: readonly string[];
  readonly elapsedMs: number;
}

type Sums = Pick<RecordedFinding, 'before' | 'lost' | 'after' | 'gained' | 'frames'>;
const NOTHING: Sums = { before: 0, lost: 0, after: 0, gained: 0, frames: 0 };

/** Says what the recordings say of the candidate: `no-data` until every host is done, or the time is over. */
export function recordedReport(guards: GuardSettings, evidence: RecordedEvidence): GuardReport {
  const { found, hosts, streams, elapsedMs } = evidence;
  const { maxLostShare, maxGainedShare, limitMs } = recordedSettingsOf(guards);
  const findings = [...found.values()].flatMap(({ recorded }) => recorded);
  const judged = findings.filter(({ state }) => state === 'judged');
  const all = sumOf(judged);
  const isOver = elapsedMs >= limitMs;
  const isAnswered = (stream: string): boolean => findings.some((finding) => finding.stream === stream);
  const isDone = hosts.every((host) => found.get(host)?.isDone === true) && streams.every(isAnswered);
  const [lost, gained] = [shareInterval(all.lost, all.before), shareInterval(all.gained, all.after)];
  const base = {
    ...({ guard: RECORDED, kind: 'statistical', margin: maxLostShare, frames: all.frames, leftMs: null } as const),
    estimate: all.before === 0 ? null : all.lost / all.before,
    low: lost[0],
    high: lost[1],
  };
  const tested = new Set(judged.map(({ stream }) => stream));
  if (!isDone && !isOver) {
    const reason = `Both versions run over what is recorded: ${tested.size} of ${counted(streams.length, 'stream')} done.`;
    return { ...base, verdict: 'no-data', reason };
  }
  const parts = streams.flatMap((stream) => partOf(stream, findings, tested.size, maxLostShare));
  const failed = parts.filter(({ verdict }) => verdict === 'fail');
  const unjudged = parts.filter(({ isFault }) => isFault);
  const isBeyond = lost[0] > maxLostShare || gained[0] > maxGainedShare;
  const isWithin = lost[1] <= maxLostShare && gained[1] <= maxGainedShare;
  const verdict: GuardVerdict =
    isBeyond || failed.length > 0 ? 'fail' : isWithin && isDone && unjudged.length === 0 ? 'pass' : 'undecided';
  const figures = `${shareText(all.lost, all.before, 'lost', lost, maxLostShare)}, ${shareText(all.gained, all.after, 'new', gained, maxGainedShare)}`;
  const events = `Events on ${counted(tested.size, 'recorded stream')}: ${figures}.`;
  const reasons = [
    ...(verdict === 'undecided' && !isWithin ? [`Not enough events to judge.${enoughText(all, maxLostShare)}`] : []),
    ...(isDone ? [] : [`The time of ${limitMs / 60_000} min is over.`]),
    events,
    ...[...failed, ...parts.filter((part) => part.verdict !== 'fail')].slice(0, 5).map(({ reason }) => reason),
  ];
  const named = parts.map(({ isFault: _, ...part }): StreamFinding => part);
  return { ...base, verdict, reason: reasons.join(' '), streams: named.slice(0, MOST_FINDINGS) };
}

/** What is to be said of a stream: nothing if its events are within the limit. */
function partOf(
  stream: string,
  findings: readonly RecordedFinding[],
  tests: number,
  limit: number,
): (StreamFinding & { readonly isFault: boolean })[] {
  const own = findings.filter((finding) => finding.stream === stream);
  const fault = own.find(({ state }) => state === 'failed');
  const judged = own.filter(({ state }) => state === 'judged');
  const { before, lost } = sumOf(judged);
  const estimate = before === 0 ? null : lost / before;
  // One of many streams must not fail by chance.
  const interval = shareInterval(lost, before, RISK / Math.max(1, tests));
  const text = `${stream}: ${shareText(lost, before, 'lost', interval, limit)}.`;
  if (interval[0] > limit) return [{ stream, verdict: 'fail', estimate, reason: text, isFault: false }];
  const untried = { stream, verdict: 'no-data', estimate: null } as const;
  if (fault !== undefined) return [{ ...untried, reason: `${stream}: ${fault.reason}`, isFault: true }];
  if (own.length === 0)
    return [{ ...untried, reason: `${stream}: not judged, since no host answered for it.`, isFault: true }];
  if (judged.length === 0) return [{ ...untried, reason: `${stream}: ${own[0]!.reason}`, isFault: false }];
  return (estimate ?? 0) > limit ? [{ stream, verdict: 'undecided', estimate, reason: text, isFault: false }] : [];
}

function sumOf(findings: readonly RecordedFinding[]): Sums {
  const sum = { ...NOTHING };
  for (const finding of findings) for (const key of Object.keys(sum) as (keyof Sums)[]) sum[key] += finding[key];
  return sum;
}

function shareText(
  hits: number,
  all: number,
  what: string,
  [low, high]: readonly [number, number],
  most: number,
): string {
  return `${hits} of ${all} ${what} (${percent(low)} to ${percent(high)}; at most ${percent(most)})`;
}

/** How many events without a loss would do. */
function enoughText({ before, lost }: Sums, limit: number): string {
  if (lost > 0 || limit <= 0 || limit >= 1) return '';
  const needed = Math.ceil(Math.log(RISK / 2) / Math.log(1 - limit));
  return before >= needed ? '' : ` ${needed} without a loss would do.`;
}
