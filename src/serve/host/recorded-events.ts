import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { isDeepStrictEqual } from 'node:util';
import {
  differenceOf,
  isOfMoment,
  judgeable,
  type RuleDifference,
  RuleTrial,
  type WholeEvent,
} from '../../after/events/rule-trial.ts';
import { pastEvents } from '../../after/history/past-events.ts';
import { readRecorded } from '../../after/recording/read-recorded.ts';
import {
  type ExportedSpan,
  inOrder,
  iso,
  type RecordedGap,
  type RecordedSpan,
  spanTime,
  videoOf,
  wallClock,
} from '../../after/recording/recorded-span.ts';
import { serveVideo } from '../../after/recording/serve-video.ts';
import type { CaptureClock } from '../../base/core/frame.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { shareInterval } from '../../base/statistics/binomial-bound.ts';
import type { ModelConfig } from '../../settings/config/model-config.ts';
import type { RecordedFinding } from '../../wire/protocol/rollout-records.ts';
import type { EventMoment } from '../../wire/protocol/rule-event.ts';
import { historyPath } from './open-gateway.ts';
import { recordingsFolder } from './open-recorder.ts';
import type { ProcessContext } from './process-context.ts';
import type { RecordedSide, RecordedTrialJob } from './recorded-trials.ts';
import { followObjects, type GivenRules, ruledStream } from './try-rules.ts';

/** Rules and the detector whose results they see. */
interface Side {
  readonly name: string;
  readonly set: GivenRules;
  readonly model: ModelConfig;
}

interface RecordedQuestion extends ExportedSpan {
  /** Absent: where the pipeline file of the rules records, or the only one that has the stream. */
  readonly folder: string | undefined;
  readonly stream: string;
  /** What is tried, and what it is compared with, if anything. */
  readonly sides: readonly Side[];
  /** Absent: that of the pipeline file of the rules. */
  readonly history?: string | undefined;
  /** Each side sees results of its own, although the model is the same: the settings of its stream differ. */
  readonly isApart?: boolean;
}

interface RecordedContext extends ProcessContext {
  readonly onNotice: (text: string) => void;
}

/** A share of events, with its 95 % interval; null if there were none. */
interface Rate {
  readonly share: number | null;
  readonly interval: readonly [low: number, high: number];
}

export interface Comparison extends RuleDifference {
  readonly with: string;
  /** Of all events after, and of all before. */
  readonly rates: { readonly gained: Rate; readonly lost: Rate };
  /** Events that began before the span or in a gap: neither gained nor lost. */
  readonly unjudged: number;
}

interface LiveComparison extends Comparison {
  /** Frames with a result, then and now, in whole minutes that are recorded; absent without one. A host that could not keep up saw fewer, so its events may be others. */
  readonly frames?: { readonly live: number; readonly now: number };
}

/** What was seen. */
interface RecordedFacts {
  readonly from: string;
  readonly to: string;
  /** Whose clock the times of events are. */
  readonly captureClock: CaptureClock;
  readonly frames: number;
  readonly gaps: readonly { readonly from: string; readonly to: string; readonly reason: string }[];
}

/** What one recording gave. */
export interface Outcome {
  readonly input: string;
  readonly events: readonly WholeEvent[];
  readonly figures: RuleTrial['figures'];
  readonly compared?: RuleDifference | Comparison;
  /** With what the history of the host has, of what it has recorded; null if that is nothing. */
  readonly live?: LiveComparison | null;
  readonly recorded?: RecordedFacts;
}

/**
 * Runs rules and a detector over what a host has recorded, and compares the events with those of others, and with what happened live.
 *
 * @throws RECORDING_NOT_FOUND, RECORDING_DAMAGED, COMMAND_INVALID, and what following objects throws.
 */
export async function tryOnRecorded(
  question: RecordedQuestion,
  context: RecordedContext,
): Promise<{ outcome: Outcome; trial: RuleTrial }> {
  const { stream, sides, fromMs, toMs } = question;
  const folder = question.folder ?? (await ownFolder(stream, sides[0]!.set, context));
  const span = await readRecorded(folder, stream, { fromMs, toMs });
  const live = liveEvents(question, span, context);
  const tried = sides.map(({ set, model }) => ({
    set,
    model,
    trial: new RuleTrial(ruledStream(set, `${stream}.mp4`), fromMs, context.onNotice),
  }));
  const [now, before] = tried as [Tried, Tried?];
  const hasSameModel =
    before === undefined || (question.isApart !== true && isDeepStrictEqual(before.model, now.model));
  const { frames, minutes, lost } = await follow(span, hasSameModel ? tried : [now], context);
  if (!hasSameModel) await follow(span, [before], context);
  const gaps = inOrder([...span.gaps, ...lost]);
  const unknown = [{ fromMs: -Infinity, toMs: fromMs }, ...gaps, { fromMs: toMs, toMs: Infinity }];
  const after = now.trial.events;
  const compare = (name: string, old: readonly WholeEvent[], isSame?: typeof isOfMoment): Comparison =>
    comparison(name, judgeable(old, unknown), judgeable(after, unknown), isSame);
  const compared = before && compare(sides[1]!.name, before.trial.events, hasSameModel ? undefined : isOfMoment);
  const outcome: Outcome = {
    input: stream,
    events: after,
    figures: now.trial.figures,
    ...(compared === undefined ? {} : { compared }),
    live:
      live === null
        ? null
        : {
            ...compare('what happened live', live.events, isOfMoment),
            ...framesOf(live.frames, minutes, (ms) =>
              unknown.some(({ fromMs: gap, toMs: end }) => Math.min(end, ms + 60_000) - Math.max(gap, ms) > SHORT_MS),
            ),
          },
    recorded: {
      from: iso(fromMs),
      to: iso(toMs),
      captureClock: 'arrival',
      frames,
      gaps: gaps.map((gap) => ({ from: iso(gap.fromMs), to: iso(gap.toMs), reason: gap.reason })),
    },
  };
  return { outcome, trial: now.trial };
}

/** Runs both versions over a recorded stream. @throws as `tryOnRecorded` */
export async function tryVersions(
  { candidate, control, environment, stream, ...job }: RecordedTrialJob,
  stdout: Writable,
  stop: AbortSignal,
): Promise<RecordedFinding> {
  const side = (name: string, { model, settings }: RecordedSide) => ({
    name,
    model,
    set: { path: `stream "${stream}"`, settings },
  });
  const sides = [side('candidate', candidate), side('control', control)];
  const question = { ...job, stream, sides, isApart: true };
  const { outcome } = await tryOnRecorded(question, { environment, stdout, stop, onNotice: () => undefined });
  const { gained, lost, kept } = outcome.compared!;
  return {
    stream,
    state: 'judged',
    reason: '',
    frames: outcome.recorded!.frames,
    before: kept + lost.length,
    lost: lost.length,
    after: kept + gained.length,
    gained: gained.length,
  };
}

interface Tried extends Omit<Side, 'name'> {
  readonly trial: RuleTrial;
}

/** Shows a recorded span to rules with one detector. */
async function follow(
  { parts }: RecordedSpan,
  pass: readonly Tried[],
  context: RecordedContext,
): Promise<{ frames: number; minutes: ReadonlyMap<number, number>; lost: readonly RecordedGap[] }> {
  const [{ set, model }] = pass as [Tried];
  let [frames, tracks] = [0, 0];
  const minutes = new Map<number, number>();
  // A part is read twice: first for its size.
  const lost = new Map<number, RecordedGap>();
  for (const part of parts) {
    const { files, stream } = part;
    const [ptsOf, wallOf] = [spanTime(part, files[0]!), wallClock(files)];
    // Each part has its own tracks.
    const firstTrack = tracks;
    const onFrame: Parameters<typeof followObjects>[2] = (result) => {
      const ptsUs = ptsOf(result.ptsUs);
      const detections = result.detections.map((found) => {
        if (found.trackId === undefined) return found;
        const trackId = firstTrack + found.trackId;
        tracks = Math.max(tracks, trackId);
        return { ...found, trackId };
      });
      const clock = { capturedAtMs: wallOf(ptsUs), captureClock: 'arrival' as const };
      const frame = { ...result, ...clock, frame: frames, ptsUs, detections };
      frames += 1;
      const minuteS = Math.floor(clock.capturedAtMs / 60_000) * 60;
      minutes.set(minuteS, (minutes.get(minuteS) ?? 0) + 1);
      for (const { trial } of pass) trial.onFrame(frame);
    };
    const video = () => videoOf(files, (gap) => void lost.set(gap.fromMs, gap));
    await serveVideo(stream, video, (url) => followObjects(ruledStream(set, url), model, onFrame, context));
  }
  for (const { trial } of pass) trial.end();
  return { frames, minutes, lost: [...lost.values()] };
}

/** Adds up the frames of whole minutes. @param isUnknown - of the minute that begins then, milliseconds since 1970, something is missing. */
function framesOf(
  then: ReadonlyMap<number, number>,
  now: ReadonlyMap<number, number>,
  isUnknown: (ms: number) => boolean,
): Pick<LiveComparison, 'frames'> {
  const whole = [...now].filter(([minuteS]) => !isUnknown(minuteS * 1000));
  if (whole.length === 0) return {};
  const live = whole.reduce((sum, [minuteS]) => sum + (then.get(minuteS) ?? 0), 0);
  return { frames: { live, now: whole.reduce((sum, [, frames]) => sum + frames, 0) } };
}

/** Returns the recordings of the pipeline file of the rules, or the only ones in the cache that have the stream. */
async function ownFolder(stream: string, { pipeline }: GivenRules, { environment }: RecordedContext): Promise<string> {
  if (pipeline !== undefined) return recordingsFolder(pipeline, environment);
  const all = join(environment.cacheDir, 'recordings');
  const names = await readdir(all).catch(() => []);
  const found = names.map((name) => join(all, name)).filter((folder) => existsSync(join(folder, stream)));
  if (found.length === 1) return found[0]!;
  const what = found.length === 0 ? `none below ${all} has stream "${stream}"` : `there are ${found.join(', ')}`;
  throw new SightlineError(
    'COMMAND_INVALID',
    `--recorded: expected the folder of recordings as the argument, since ${what}`,
  );
}

/** Returns the events of the history with the wall clock of the recording, by the frames that they name; null if it has nothing of this time. */
function liveEvents(
  { stream, fromMs, toMs, sides, history }: RecordedQuestion,
  { parts }: RecordedSpan,
  { environment }: RecordedContext,
): { events: WholeEvent[]; frames: ReadonlyMap<number, number> } | null {
  const { pipeline } = sides[0]!.set;
  const path = history ?? (pipeline === undefined ? null : historyPath(pipeline, environment));
  if (history !== undefined && !existsSync(history))
    throw new SightlineError('COMMAND_INVALID', `--history: ${history}: no such file`);
  const past = path === null ? null : pastEvents(path, stream, fromMs, toMs);
  if (past === null) return null;
  const files = parts.flatMap((part) => part.files);
  const events = past.events.flatMap(({ record: { seq: _seq, phase: _phase, ...event }, raisedMs }) => {
    // Recordings do not show what is wrong with a picture or a stream.
    if (event.kind === 'picture' || event.kind === 'stream') return [];
    const raisedUs = event.raised.ptsUs ?? 0;
    const shown = files
      .filter(({ firstUs, endUs }) => raisedUs >= firstUs && raisedUs < endUs)
      .map(({ firstUs, startMs }) => startMs + (raisedUs - firstUs) / 1000)
      // Media time begins anew with each start of a host.
      .find((ms) => Math.abs(ms - raisedMs) < LATEST_MS);
    const at = ({ ptsUs = raisedUs }: EventMoment): EventMoment => ({
      ptsUs,
      at: new Date((shown ?? raisedMs) + (ptsUs - raisedUs) / 1000).toISOString(),
    });
    const { began, raised, ended = { ptsUs: raisedUs + (toMs - raisedMs) * 1000 } } = event;
    return [{ ...event, began: at(began), raised: at(raised), ended: at(ended) }];
  });
  return { events, frames: past.frames };
}

/** So much of a minute may be missing. */
const SHORT_MS = 1_000;
/** A host raises an event sooner after its frame has come. */
const LATEST_MS = 30_000;

function comparison(
  name: string,
  before: ReturnType<typeof judgeable>,
  after: ReturnType<typeof judgeable>,
  isSame?: typeof isOfMoment,
): Comparison {
  const difference = differenceOf(before.judged, after.judged, isSame);
  const rate = (hits: number, all: number): Rate => ({
    share: all === 0 ? null : hits / all,
    interval: shareInterval(hits, all),
  });
  const { gained, lost } = difference;
  // One that both have counts once.
  const unknown = differenceOf(before.unjudged, after.unjudged, isSame);
  return {
    with: name,
    ...difference,
    unjudged: unknown.gained.length + unknown.lost.length + unknown.kept,
    rates: { gained: rate(gained.length, after.judged.length), lost: rate(lost.length, before.judged.length) },
  };
}
