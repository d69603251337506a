import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { MOST_BYTES, readGivenTextSync } from '../base/disk/given-file.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { rolledSettings } from '../fleet/control/rollout/stream-changes.ts';
import { loadPipeline } from '../serve/pipeline/load-pipeline.ts';
import { durationMs } from '../settings/config/duration.ts';
import type { RolloutVerb } from '../wire/protocol/rest.ts';
import type { RolloutReport } from '../wire/protocol/rollout-records.ts';
import { type CliIo, show, wrongCommand } from './cli-io.ts';
import {
  addFlags,
  type FlagsOf,
  type FlagTable,
  flagTable,
  numberIf,
  recordedSpan,
  settingsIn,
} from './flag-values.ts';
import { GATEWAY_FLAGS, gatewayApi } from './gateway-client.ts';
import { evaluatedVerdict, optimisedPipeline, settledClasses } from './rollout-proof.ts';
import { requireIdentities } from './rollout-sequences.ts';
import { historyText, rolloutText } from './rollout-tables.ts';

const FLAGS = flagTable({
  ...GATEWAY_FLAGS,
  '--detector <name>': 'which detector, if the pipeline has several: a name of its models (default: its own)',
});
const START_FLAGS = flagTable({
  ...FLAGS,
  '--model <name>':
    'detector to change to, at its own input size; other settings of model and streams stay as they are',
  '--pipeline <file>': 'pipeline whose model, batch and stream settings to change to',
  '--steps <list>': ['percentages of the streams, rising to 100', stepsOf, [1, 10, 50, 100]],
  '--hold <time>': ['shortest time of a step, such as 60s, 10m or 1h', holdOf, 60_000],
  '--min-frames <n>': ['frames that the candidate must have inferred in a step', Number, 1000],
  '--guards <file>': 'YAML file with margins of the guards (default: see docs/guards.md)',
  '--eval <file>':
    'output of "sightline eval --json" about both: another detector is judged by labels, not by its agreement with the old one',
  '--answers <file>':
    'with a pipeline of a report of optimize: what people have said of the objects on which both detectors disagree (default: answers.json beside it)',
  '--sequences <folders>':
    'videos with true tracks, as MOTChallenge has them, separated by commas: first run both versions over them on this machine, and start only if identities are kept',
  '--shadow': 'compare boxes on frames that both versions infer, before any stream uses the new one',
  '--shadow-ratio <r>': ['share of a stream that both versions infer, 0.01 to 1 (default: 0.2)', Number],
  '--recorded [time]':
    'first run both versions over what is recorded of the last time, such as 2h, or of --from to --to, and compare the events of the rules',
  '--from <time>': 'with --recorded: date and time of its beginning',
  '--to <time>': 'with --recorded: date and time of its end',
  '--partial': 'leave out settings that need a restart',
});
const PROMOTE_FLAGS = flagTable({
  ...FLAGS,
  '--full': 'go to 100 % and end the roll-out',
  '--step <n>': [
    'step that you saw, as "status" shows it; refused if it is at another (default: the newest)',
    numberIf('--step', 'a number as "rollout status" shows it', (step) => Number.isInteger(step) && step >= 0),
  ],
});
const HOLD_FLAGS = flagTable({
  ...FLAGS,
  '--release': 'end your hold, so that it continues by itself',
});
type RolloutFlags = FlagsOf<typeof FLAGS>;
type StartFlags = FlagsOf<typeof START_FLAGS>;

const HELP = `
Examples:
  sightline rollout start --model picodet-s                      1, 10, 50 and 100 % of the streams, at least 60 s each
  sightline rollout start report/best.yaml                       the result of optimize: model, batches and settings of streams
  sightline rollout start --pipeline new.yaml --steps 5,25,100 --hold 10m --guards guards.yaml
  sightline rollout start --model picodet-s --shadow             first compares boxes, without any stream using it
  sightline rollout start --model picodet-s --recorded 2h        first tries both on the recordings: a loss of events refuses it
  sightline rollout start --model mine.onnx --eval eval.json     another detector, which labels show to be as good
  sightline rollout start --pipeline new.yaml --sequences MOT/walk1,MOT/walk2   first both versions follow people whose tracks are known
  sightline rollout status
  sightline rollout hold                                         stay at this share; hold --release lets it go on
  sightline rollout promote                                      next step now, whatever the guards say
  sightline rollout promote --step 1                             the same, refused if it is no longer at step 1
  sightline rollout abort                                        back to the version before
  sightline rollout undo                                         the same, also after the promotion

Every command talks to a running host (--url), and any host of a fleet will do. docs/rollout.md explains steps and guards.`;

/** Adds `rollout`: starts and steers the roll-out of a pipeline through the gateway of a running host. */
export function addRollout(program: Command, io: CliIo): void {
  const rollout = program.command('rollout').addHelpText('after', HELP);
  const command = (name: string, description: string, flags: FlagTable = FLAGS): Command =>
    addFlags(rollout.command(name).description(description), flags);

  command('start', 'start a roll-out', START_FLAGS)
    .argument('[pipeline]', 'the same as --pipeline')
    .action(async (file: string | undefined, flags: StartFlags) => {
      const body = await startBody(file, flags);
      const { sequences, detector } = flags;
      if (sequences !== undefined)
        await requireIdentities(sequences, body, { api: gatewayApi(io, flags), detector, io });
      report(await gatewayApi(io, flags).rollouts.start(body, { detector: flags.detector }), flags);
    });
  command('status', 'show the roll-out with its guards').action(async (flags: RolloutFlags) =>
    report(await newest(flags), flags),
  );
  command('promote', 'go to the next step now, whatever the guards say', PROMOTE_FLAGS).action(
    async (flags: FlagsOf<typeof PROMOTE_FLAGS>) => {
      // Sends the step that it read: of two people who promote at once, one is refused.
      const { id: rollout, step } = await newest(flags);
      const seen = { rollout, step: flags.step ?? step };
      const wanted = flags.full === true ? { ...seen, full: true } : seen;
      report(await gatewayApi(io, flags).rollouts.promote(wanted, { by: userName(), detector: flags.detector }), flags);
    },
  );
  command(
    'hold',
    'stay at this share until promote, abort, undo or hold --release; guards can still roll back',
    HOLD_FLAGS,
  ).action((flags: FlagsOf<typeof HOLD_FLAGS>) => act(flags.release === true ? 'resume' : 'hold', flags));
  command('abort', 'stop it: all streams return to the version before').action((flags: RolloutFlags) =>
    act('abort', flags),
  );
  command('undo', 'return to the version before, also after the promotion').action((flags: RolloutFlags) =>
    act('undo', flags),
  );
  command('history', 'list all decisions, newest first').action(async (flags: RolloutFlags) => {
    const decisions = await gatewayApi(io, flags).rollouts.history({ detector: flags.detector });
    show(io, flags, decisions, () => historyText(decisions));
  });

  async function newest(flags: RolloutFlags): Promise<RolloutReport> {
    const rollout = await gatewayApi(io, flags).rollouts.newest({ detector: flags.detector });
    if (rollout !== null) return rollout;
    throw new SightlineError('ROLLOUT_NOT_FOUND', `${flags.url}: this pipeline has had no roll-out; start one first`);
  }

  async function act(verb: Exclude<RolloutVerb, 'promote'>, flags: RolloutFlags): Promise<void> {
    report(await gatewayApi(io, flags).rollouts[verb]({ by: userName(), detector: flags.detector }), flags);
  }

  function report(rollout: RolloutReport, flags: RolloutFlags): void {
    show(io, flags, rollout, () => rolloutText(rollout));
  }
}

async function startBody(file: string | undefined, flags: StartFlags): Promise<object> {
  const { model, steps, hold, minFrames, guards, eval: evaluated, shadow, shadowRatio, partial } = flags;
  const given = [file, flags.pipeline, model].filter((one) => one !== undefined);
  if (given.length !== 1)
    throw wrongCommand(
      `a pipeline file, --pipeline or --model: expected one of them, received ${given.length === 0 ? 'none' : given.length}`,
    );
  const path = file ?? flags.pipeline;
  if (path === undefined && flags.answers !== undefined)
    throw wrongCommand('--answers: only valid with a pipeline of a report of "sightline optimize"');
  const changes = path === undefined ? { model: absolute(model!) } : await pipelineBody(path, flags);
  const candidate = 'model' in changes ? changes.model : changes.settings.model.name;
  return {
    ...changes,
    ...(evaluated === undefined ? {} : { labelled: evaluatedVerdict(evaluated, candidate) }),
    steps,
    holdMs: hold,
    minFrames,
    shadow: shadow === true,
    partial: partial === true,
    by: userName(),
    ...(shadowRatio === undefined ? {} : { shadowRatio }),
    ...(guards === undefined ? {} : { guards: readGuards(guards) }),
    ...recordedBody(flags),
  };
}

/** What a pipeline file changes on a detector, and the gain that the report beside it predicts. */
async function pipelineBody(path: string, { detector, answers }: Pick<StartFlags, 'detector' | 'answers'>) {
  const pipeline = loadPipeline(path);
  const { model: own, models, batch, lanes, defaults, streams } = pipeline;
  const known = Object.keys(models);
  // What optimize writes has one detector, whichever it is about.
  const isOwn = detector === undefined || detector === 'default' || known.length === 0;
  const model = isOwn ? own : models[detector];
  if (model === undefined)
    throw wrongCommand(`--detector ${detector}: expected a name of the section models of ${path}: ${known.join(', ')}`);
  const found = isOwn ? optimisedPipeline(dirname(path), pipeline) : null;
  if (answers !== undefined && found?.isFaster !== true)
    throw wrongCommand(`--answers: expected a pipeline that a report asks people about, received ${path}`);
  const predicted = found?.predicted ?? null;
  const labelled = found?.labelled ?? null;
  const settled = found?.isFaster === true ? await settledClasses(dirname(path), answers) : [];
  return {
    settings: {
      model: { ...model, name: absolute(model.name) },
      batch,
      ...(lanes === undefined ? {} : { lanes }),
      ...rolledSettings({ defaults, streams }),
    },
    ...(predicted === null ? {} : { predicted }),
    ...(labelled === null ? {} : { labelled: { ...labelled, ...(settled.length === 0 ? {} : { settled }) } }),
  };
}

/** The host has another working directory. Names of detectors stay names. */
function absolute(model: string): string {
  return existsSync(model) ? resolve(model) : model;
}

/** Reads the settings of the guards; the host checks them. @throws CONFIG_NOT_FOUND, CONFIG_INVALID */
function readGuards(path: string): unknown {
  const as = `--guards ${path}: cannot be read`;
  const text = readGivenTextSync(path, { code: 'CONFIG_NOT_FOUND', as, mostBytes: MOST_BYTES.settings });
  return settingsIn(text, path, 'the guards with their margins, received no keys', { path });
}

function stepsOf(text: string): readonly number[] {
  const steps = text.split(',').map(Number);
  if (steps.every((share) => Number.isFinite(share))) return steps;
  throw wrongCommand(`--steps: expected percentages such as 1,10,50,100, received "${text}"`);
}

function holdOf(text: string): number {
  const ms = durationMs(/\d$/.test(text) ? `${text}s` : text, ['ms', 's', 'm', 'h']);
  if (Number.isFinite(ms)) return Math.round(ms);
  throw wrongCommand(`--hold: expected a time such as 60s, 10m or 1h, received "${text}"`);
}

/** Which recordings both versions are tried on first, if any. */
function recordedBody({ recorded, from, to }: StartFlags): object {
  if (recorded === undefined) {
    if ((from ?? to) !== undefined) throw wrongCommand('--from, --to: only valid with --recorded');
    return {};
  }
  if (recorded === true) return { recorded: recordedSpan([], { from, to }) };
  if ((from ?? to) !== undefined)
    throw wrongCommand('--recorded: expected either a time or --from and --to, received both');
  const lastMs = durationMs(recorded, ['m', 'h', 'd']);
  if (lastMs >= 60_000) return { recorded: { lastMs: Math.round(lastMs) } };
  throw wrongCommand(`--recorded: expected a time of a minute or more, such as 30m, 2h or 1d, received "${recorded}"`);
}

/** For the audit log. A user without an entry in the system's list is shown by the gateway with its address. */
function userName(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
}
