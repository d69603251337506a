import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { ruleNeedsTracks } from '../config/event-rules.ts';
import type { ModelConfig } from '../config/model-config.ts';
import type { StreamConfig } from '../config/stream.ts';
import { counted } from '../core/counted.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { differenceOf, type RuleDifference, type RuleTrial, type WholeEvent } from '../events/rule-trial.ts';
import type { GivenRules } from '../host/try-rules.ts';
import { cloudEvent } from '../protocol/rule-event.ts';
import { type CliIo, JSON_FLAG, type JsonFlag, note, print, printJson, wrongCommand } from './cli-io.ts';
import { requireWritable } from './detect-outputs.ts';
import { interruptedCode } from './interruption.ts';
import { addEngineFlags, addModelFlag, type ModelFlags, modelConfigOf } from './model-flags.ts';
import { ReportedFailure } from './reported-failure.ts';
import { table } from './table.ts';

interface EventsFlags extends ModelFlags, JsonFlag {
  readonly rules: string;
  readonly compare?: string;
  readonly stream?: string;
  readonly start?: string;
  readonly out?: string;
}

const HELP = `
Examples:
  sightline events door.mp4 --rules door.yaml
  sightline events door.mp4 --rules cameras.yaml --stream door      rules of a stream of a pipeline
  sightline events door.mp4 --rules new.yaml --compare old.yaml     which events the new rules gain and lose
  sightline events door.mp4 --rules door.yaml --start 2026-05-04T21:30:00+02:00 --out events.jsonl

  sightline detect door.mp4 --track --out door.jsonl && sightline events door.jsonl --rules door.yaml
                                                                    try rules again and again, without inferring again

A rules file has settings of a stream: events, and the zones, lines, labels and track that they need. Rules run in media time, so
a recording gives the same events at any speed. Rules with times of the week need --start, the time of the first frame. --out
gets a line for each beginning, update and end of an event, as CloudEvents. docs/events.md describes rules and events.`;

/** Adds `events`: tries rules on recordings. */
export function addEvents(program: Command, io: CliIo): void {
  const command = program
    .command('events')
    .argument('<recording...>', 'videos, or results of detect --track (.jsonl)')
    .requiredOption('--rules <file>', 'rules: settings of a stream, or a pipeline file');
  addEngineFlags(addModelFlag(command))
    .option('--stream <id>', 'stream of the pipeline file whose rules are meant')
    .option('--compare <file>', 'rules before, of the same kind: lists events gained and lost')
    .option('--start <time>', 'date and time of the first frame, such as 2026-05-04T21:30:00+02:00')
    .option('--min-score <0..1>', 'lowest score to report (default: from the manifest)', Number)
    .option('--out <file>', 'write each record of an event as a CloudEvent, a JSON line each')
    .option(...JSON_FLAG)
    .addHelpText('after', HELP)
    .action((inputs: string[], flags: EventsFlags) =>
      events(inputs, flags, command.getOptionValueSource('model') === 'cli', io),
    );
}

/** What one recording gave. */
interface Outcome {
  readonly input: string;
  readonly events: readonly WholeEvent[];
  readonly figures: RuleTrial['figures'];
  readonly compared?: RuleDifference;
}

async function events(inputs: readonly string[], flags: EventsFlags, namesModel: boolean, io: CliIo): Promise<void> {
  const { readRules, ruledStream } = await import('../host/try-rules.ts');
  const startMs = startOf(flags.start);
  const sets = [flags.rules, flags.compare].flatMap((path) =>
    path === undefined ? [] : [readRules(path, flags.stream)],
  );
  const [{ model }] = sets as [GivenRules];
  const chosen = namesModel || model === undefined ? modelConfigOf(flags) : model;
  for (const set of sets) refuseUnusable(set, ruledStream(set, inputs[0]!), startMs);
  if (flags.out !== undefined) await requireWritable('--out', { path: flags.out, isFolder: false });
  const outcomes: Outcome[] = [];
  const lines: string[] = [];
  for (const input of inputs) {
    const trials = await tryOn(input, sets, startMs, chosen, io);
    const [now, before] = trials as [RuleTrial, RuleTrial | undefined];
    lines.push(...now.records.map((record) => `${JSON.stringify(cloudEvent(record))}\n`));
    const compared = before === undefined ? {} : { compared: differenceOf(before.events, now.events) };
    outcomes.push({ input, events: now.events, figures: now.figures, ...compared });
    if (flags.json !== true) print(io, outcomeText(outcomes.at(-1)!));
  }
  if (flags.out !== undefined) await writeLines(flags.out, lines);
  if (flags.json === true) printJson(io, { rules: flags.rules, recordings: outcomes });
}

/** Runs each set of rules over one recording. */
async function tryOn(
  input: string,
  sets: readonly GivenRules[],
  startMs: number | undefined,
  model: ModelConfig,
  io: CliIo,
): Promise<RuleTrial[]> {
  const { followObjects, readResults, trialsOf } = await import('../host/try-rules.ts');
  const trials = trialsOf(sets, input, startMs);
  const onFrame: RuleTrial['onFrame'] = (frame) => {
    for (const { trial } of trials) trial.onFrame(frame);
  };
  try {
    if (input.endsWith('.jsonl'))
      await readResults(
        input,
        trials.some(({ config }) => config.events.some(ruleNeedsTracks)),
        onFrame,
      );
    else await followObjects(trials[0]!.config, model, onFrame, { ...io, onNotice: (text) => note(io, text) });
  } catch (error) {
    if (!io.stop.aborted) throw error;
    throw new ReportedFailure({ message: 'interrupted', exitCode: interruptedCode(io.stop) });
  }
  for (const { trial } of trials) trial.end();
  return trials.map(({ trial }) => trial);
}

/** @throws COMMAND_INVALID for rules that would raise nothing on any recording. */
function refuseUnusable({ path }: GivenRules, { events: rules }: StreamConfig, startMs: number | undefined): void {
  if (rules.length === 0) throw wrongCommand(`${path}: expected rules under events, found none`);
  const timed = rules.find(({ times }) => times !== undefined);
  if (timed !== undefined && startMs === undefined)
    throw wrongCommand(
      `rule ${timed.id} of ${path} has times of the week: give the time of the first frame with --start`,
    );
}

function startOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const timeMs = Date.parse(text);
  if (!Number.isNaN(timeMs)) return timeMs;
  throw wrongCommand(`--start: expected a date and time such as 2026-05-04T21:30:00+02:00, received "${text}"`);
}

async function writeLines(path: string, lines: readonly string[]): Promise<void> {
  try {
    await writeFile(path, lines.join(''));
  } catch (error) {
    throw new SightlineError('SINK_FAILED', `--out: ${path} cannot be written: ${(error as Error).message}`, { path });
  }
}

function outcomeText({ input, events: found, figures, compared }: Outcome): string {
  const { times, cooldown, when } = figures.suppressed;
  const held = [`${times} at other times`, `${cooldown} within a cooldown`, `${when} by an expression`];
  const head = `${input}: ${counted(found.length, 'event')}; kept back: ${held.join(', ')}`;
  const parts = [head, eventsTable(found)];
  if (compared !== undefined) {
    const { gained, lost, kept } = compared;
    parts.push(`compared: ${gained.length} gained, ${lost.length} lost, ${kept} the same`);
    parts.push(eventsTable(gained, '+'), eventsTable(lost, '-'));
  }
  return parts.filter((part) => part !== '').join('\n');
}

function eventsTable(list: readonly WholeEvent[], sign = ''): string {
  return table(
    list.map(({ rule, reason, raised, ended }) => [
      `${sign}${clock(raised.ptsUs)}`,
      ended === undefined || ended.ptsUs === raised.ptsUs ? '' : `to ${clock(ended.ptsUs)}`,
      rule,
      reason,
    ]),
  );
}

/** Media time as `1:02:03.4`. */
function clock(ptsUs = 0): string {
  const tenths = Math.floor(ptsUs / 1e5);
  const [h, m, s] = [Math.floor(tenths / 36_000), Math.floor(tenths / 600) % 60, Math.floor(tenths / 10) % 60];
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${h === 0 ? '' : `${h}:`}${two(m)}:${two(s)}.${tenths % 10}`;
}
