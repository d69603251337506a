import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { differenceOf, type RuleDifference, RuleTrial, type WholeEvent } from '../after/events/rule-trial.ts';
import type { WatchedFrame } from '../after/events/stream-events.ts';
import type { ExportedSpan } from '../after/recording/recorded-span.ts';
import { counted } from '../base/core/counted.ts';
import { recordingDigest } from '../base/disk/given-file.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import type { Comparison, Outcome } from '../serve/host/recorded-events.ts';
import type { GivenRules } from '../serve/host/try-rules.ts';
import { ruleNeedsTracks } from '../settings/config/event-rules.ts';
import type { ModelConfig } from '../settings/config/model-config.ts';
import type { StreamConfig } from '../settings/config/stream.ts';
import { cloudEvent } from '../wire/protocol/rule-event.ts';
import { type CliIo, JSON_FLAG, note, print, printJson, table, wrongCommand } from './cli-io.ts';
import { requireWritable } from './detect-outputs.ts';
import { addFlags, type FlagsOf, flagTable, recordedSpan, required, timeOf } from './flag-values.ts';
import { interruptedCode, ReportedFailure } from './interruption.ts';
import { ENGINE_FLAGS, MODEL_FLAGS, modelConfigOf } from './model-flags.ts';

const FLAGS = flagTable({
  '--rules <file>': required('rules: settings of a stream, or a pipeline file'),
  ...MODEL_FLAGS,
  ...ENGINE_FLAGS,
  '--stream <id>': 'stream of the pipeline file whose rules are meant; for other rules, the name of the stream',
  '--recorded <stream>': 'a stream that a host has recorded',
  '--from <time>': 'of what is recorded: date and time of its beginning',
  '--to <time>': 'of what is recorded: date and time of its end',
  '--history <file>': 'history of the host that recorded (default: that of the pipeline file of the rules)',
  '--compare <file>': 'rules before, of the same kind: lists events gained and lost',
  '--start <time>': 'date and time of the first frame, such as 2026-05-04T21:30:00+02:00',
  '--min-score <0..1>': ['lowest score to report (default: from the manifest)', Number],
  '--out <file>': 'write each record of an event as a CloudEvent, a JSON line each',
  ...JSON_FLAG,
});
type EventsFlags = FlagsOf<typeof FLAGS>;

const HELP = `
Examples:
  sightline events door.mp4 --rules door.yaml
  sightline events door.mp4 --rules cameras.yaml --stream door      rules of a stream of a pipeline
  sightline events door.mp4 --rules new.yaml --compare old.yaml     which events the new rules gain and lose
  sightline events door.mp4 --rules door.yaml --start 2026-05-04T21:30:00+02:00 --out events.jsonl

  sightline events --recorded door --from 2026-05-04T20:00:00Z --to 2026-05-04T21:00:00Z --rules cameras.yaml --model picodet-s
                                                                    what another detector would have changed

  sightline detect door.mp4 --track --out door.jsonl && sightline events door.jsonl --rules door.yaml
                                                                    try rules again and again, without inferring again

A rules file has settings of a stream: events, and the zones, lines, labels and track that they need. Rules run in media time, so
a recording gives the same events at any speed. Rules with times of the week need --start, the time of the first frame. --out
gets a line for each beginning, update and end of an event, as CloudEvents. docs/events.md describes rules and events.

--recorded reads what a host has recorded: the argument is its folder of recordings (default: that of the pipeline file of the
rules). Events are compared with those of --compare, with those of the model of the pipeline file if --model is another, and with
what happened live if the history of the host has it.`;

/** Adds `events`: tries rules on recordings. */
export function addEvents(program: Command, io: CliIo): void {
  const command = program
    .command('events')
    .argument(
      '[recording...]',
      'videos, or results of detect --track (.jsonl); with --recorded the folder of recordings',
    );
  addFlags(command, FLAGS)
    .addHelpText('after', HELP)
    .action((inputs: string[], flags: EventsFlags) =>
      events(inputs, flags, command.getOptionValueSource('model') === 'cli', io),
    );
}

async function events(inputs: readonly string[], flags: EventsFlags, namesModel: boolean, io: CliIo): Promise<void> {
  const { readRules, ruledStream } = await import('../serve/host/try-rules.ts');
  const { recorded: stream, stream: named = stream } = flags;
  const span = spanOf(inputs, flags);
  const startMs = span?.fromMs ?? timeOf('--start', flags.start);
  const sets = [flags.rules, flags.compare].flatMap((path) => (path === undefined ? [] : [readRules(path, named)]));
  const [set] = sets as [GivenRules];
  const given = modelConfigOf(flags);
  const chosen = namesModel || set.model === undefined ? given : set.model;
  for (const each of sets)
    refuseUnusable(each, ruledStream(each, span === null ? inputs[0]! : `${stream}.mp4`), startMs);
  const read = [...(span === null ? inputs : []), ...sets.map(({ path }) => path)];
  if (flags.out !== undefined) await requireOwnFile(flags.out, read);
  const outcomes: Outcome[] = [];
  const lines: string[] = [];
  const add = (outcome: Outcome, { records }: RuleTrial): void => {
    lines.push(...records.map((record) => `${JSON.stringify(cloudEvent(record))}\n`));
    outcomes.push(outcome);
    const hasClock = span !== null || startMs === undefined;
    if (flags.json !== true) print(io, outcomeText(outcome, hasClock));
  };
  if (span !== null) {
    const { tryOnRecorded } = await import('../serve/host/recorded-events.ts');
    const sides = sets.map((each, i) => ({
      name: each.path,
      set: each,
      model: i === 0 ? chosen : (each.model ?? chosen),
    }));
    // A detector takes the place of that of the pipeline file.
    if (sets.length === 1 && namesModel && set.model !== undefined)
      sides.push({ name: set.model.name, set, model: set.model });
    const question = { folder: inputs[0], stream: stream!, ...span, sides, history: flags.history };
    const { outcome, trial } = await unlessStopped(io, () =>
      tryOnRecorded(question, { ...io, onNotice: (text) => note(io, text) }),
    );
    add(outcome, trial);
  } else
    for (const input of inputs) {
      for (const [name, [now, before]] of await tryOn(input, sets, startMs, chosen, io)) {
        const compared = before === undefined ? {} : { compared: differenceOf(before.events, now!.events) };
        add({ input: name, events: now!.events, figures: now!.figures, ...compared }, now!);
      }
    }
  if (flags.out !== undefined) await writeLines(flags.out, lines);
  if (flags.json === true) printJson(io, { rules: flags.rules, recordings: outcomes });
}

/** Returns the time of what a host has recorded; null for other inputs. @throws COMMAND_INVALID for flags that do not go together. */
function spanOf(inputs: readonly string[], flags: EventsFlags): ExportedSpan | null {
  const { recorded, start } = flags;
  if (recorded === undefined) {
    for (const flag of ['from', 'to', 'history'] as const)
      if (flags[flag] !== undefined) throw wrongCommand(`--${flag}: only valid with --recorded`);
    if (inputs.length === 0) throw wrongCommand('expected a video, results of detect, or --recorded');
    return null;
  }
  if (start !== undefined) throw wrongCommand('--start: not with --recorded, whose times are known');
  return recordedSpan(inputs, flags);
}

/** Runs each set of rules over one input. @returns the trials of each of its recordings, by what to call it. */
async function tryOn(
  input: string,
  sets: readonly GivenRules[],
  startMs: number | undefined,
  model: ModelConfig,
  io: CliIo,
): Promise<Map<string, RuleTrial[]>> {
  const { followObjects, readResults, ruledStream } = await import('../serve/host/try-rules.ts');
  const isResults = input.endsWith('.jsonl');
  const configs = sets.map((set) => ruledStream(set, input));
  const trials = new Map<string, RuleTrial[]>();
  const trialsOf = async (source: string): Promise<RuleTrial[]> => {
    const known = trials.get(source);
    if (known !== undefined) return known;
    const recording = (await recordingDigest(source)) ?? undefined;
    const made = sets.map((set) => {
      const config = ruledStream(set, source, recording === undefined ? undefined : set.stream);
      return new RuleTrial(config, startMs, (text) => note(io, text), recording);
    });
    trials.set(source, made);
    return made;
  };
  const onResult = async (frame: WatchedFrame, source = input): Promise<void> => {
    for (const trial of await trialsOf(source)) trial.onFrame(frame);
  };
  await unlessStopped(io, async () => {
    const needsTracks = configs.some(({ events: rules }) => rules.some(ruleNeedsTracks));
    if (isResults) await readResults(input, needsTracks, onResult);
    else {
      const ofInput = await trialsOf(input);
      const onFrame = (frame: WatchedFrame): void => {
        for (const trial of ofInput) trial.onFrame(frame);
      };
      await followObjects(configs[0]!, model, onFrame, { ...io, onNotice: (text) => note(io, text) });
    }
  });
  if (trials.size === 0) await trialsOf(input);
  for (const each of trials.values()) for (const trial of each) trial.end();
  if (isResults) for (const text of unseenIn(input, configs[0]!, [...trials.values()])) note(io, text);
  const nameOf = (source: string): string => (trials.size > 1 ? `${input}, ${source}` : input);
  return new Map([...trials].map(([source, each]) => [nameOf(source), each]));
}

async function unlessStopped<T>(io: CliIo, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!io.stop.aborted) throw error;
    throw new ReportedFailure({ message: 'interrupted', exitCode: interruptedCode(io.stop) });
  }
}

/** Returns what rules ask for that results cannot have, or do not have, a text each. */
function unseenIn(input: string, { events: rules }: StreamConfig, trials: readonly RuleTrial[][]): string[] {
  const seen = new Set(trials.flatMap(([now]) => [...now!.labels]));
  return rules.flatMap((rule) => {
    if (rule.kind === 'picture' || rule.kind === 'stream')
      return [`rule ${rule.id}: results do not show what is wrong with a ${rule.kind}; try it live`];
    const unseen = ('labels' in rule ? (rule.labels ?? []) : []).filter((label) => !seen.has(label));
    return unseen.length === 0 ? [] : [`rule ${rule.id}: ${input} has no object labelled ${unseen.join(', ')}`];
  });
}

/** @throws COMMAND_INVALID for rules that would raise nothing, or anything, on a recording. */
function refuseUnusable({ path }: GivenRules, { events: rules }: StreamConfig, startMs: number | undefined): void {
  if (rules.length === 0) throw wrongCommand(`${path}: expected rules under events, found none`);
  const timed = rules.find(({ times, when = '' }) => times !== undefined || /\bhour\b/.test(when));
  if (timed !== undefined && startMs === undefined)
    throw wrongCommand(
      `rule ${timed.id} of ${path} depends on the time of the day: give that of the first frame with --start`,
    );
}

/** @throws COMMAND_INVALID, SINK_FAILED */
async function requireOwnFile(path: string, read: readonly string[]): Promise<void> {
  if (path === '-') throw wrongCommand('--out: expected the name of a file, received "-"; --json prints events');
  if (read.some((other) => resolve(other) === resolve(path))) throw wrongCommand(`--out: ${path} is an input`);
  await requireWritable('--out', { path, isFolder: false });
}

async function writeLines(path: string, lines: readonly string[]): Promise<void> {
  try {
    await writeFile(path, lines.join(''));
  } catch (error) {
    throw new SightlineError('SINK_FAILED', `--out: ${path} cannot be written: ${(error as Error).message}`, { path });
  }
}

/** @param hasClock - times are those of the day, where the recording has them. */
function outcomeText({ input, events: found, figures, compared, live, recorded }: Outcome, hasClock: boolean): string {
  const { times, cooldown, when } = figures.suppressed;
  const held = [`${times} at other times`, `${cooldown} within a cooldown`, `${when} by an expression`];
  const head = `${input}: ${counted(found.length, 'event')}; kept back: ${held.join(', ')}`;
  const shownTime = (ptsUs?: number, at?: string): string => (hasClock && at !== undefined ? at : clock(ptsUs));
  const parts = [...recordedLines(recorded), head, eventsTable(found, shownTime)];
  for (const each of [compared, live]) {
    if (each === undefined || each === null) continue;
    const { gained, lost } = each;
    parts.push(comparedText(each), eventsTable(gained, shownTime, '+'), eventsTable(lost, shownTime, '-'));
  }
  if (live === null) parts.push('what happened live: the history has nothing of this stream in this time');
  return parts.filter((part) => part !== '').join('\n');
}

function recordedLines(recorded: Outcome['recorded']): string[] {
  if (recorded === undefined) return [];
  const { from, to, frames, gaps } = recorded;
  const rows = gaps.map((gap) => ['gap', gap.from, `to ${gap.to}`, gap.reason]);
  return [`${from} to ${to}: ${counted(frames, 'frame')}, ${counted(gaps.length, 'gap')}`, table(rows)];
}

function comparedText({ gained, lost, kept, ...more }: RuleDifference | Comparison): string {
  if (!('rates' in more)) return `compared: ${gained.length} gained, ${lost.length} lost, ${kept} the same`;
  const { rates, unjudged } = more;
  const percent = (share: number): string => (share * 100).toFixed(1);
  const of = (noun: string, { share, interval: [low, high] }: Comparison['rates']['gained']): string =>
    share === null
      ? ''
      : ` (${percent(share)} % of those ${noun}, 95 % interval ${percent(low)} to ${percent(high)} %)`;
  const counts = [
    `${gained.length} gained${of('now', rates.gained)}`,
    `${lost.length} lost${of('before', rates.lost)}`,
    `${kept} the same`,
    `${unjudged} not judged`,
  ];
  // What a host could not keep up with cannot have raised an event.
  const { frames } = more as NonNullable<Outcome['live']>;
  const fewer =
    frames === undefined || frames.live >= frames.now
      ? ''
      : `, where it saw ${frames.live} of ${counted(frames.now, 'frame')}`;
  return `compared with ${more.with}${fewer}: ${counts.join(', ')}`;
}

function eventsTable(list: readonly WholeEvent[], shown: (ptsUs?: number, at?: string) => string, sign = ''): string {
  return table(
    list.map(({ rule, reason, raised, ended }) => [
      `${sign}${shown(raised.ptsUs, raised.at)}`,
      ended === undefined || (ended.ptsUs ?? 0) <= (raised.ptsUs ?? 0) ? '' : `to ${shown(ended.ptsUs, ended.at)}`,
      rule,
      reason,
    ]),
  );
}

/** Media time as `1:02:03.4`. */
function clock(ptsUs = 0): string {
  const tenths = Math.max(0, Math.floor(ptsUs / 1e5));
  const [h, m, s] = [Math.floor(tenths / 36_000), Math.floor(tenths / 600) % 60, Math.floor(tenths / 10) % 60];
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${h === 0 ? '' : `${h}:`}${two(m)}:${two(s)}.${tenths % 10}`;
}
