import { Command } from 'commander';
import { type CliIo, note } from './cli-io.ts';
import { reportError, runProgram } from './run-program.ts';
import { withoutSecrets } from './secret-arguments.ts';

type AddCommand = (program: Command, io: CliIo) => void;

/** Each command's code is loaded when it is called: together they take 10 times as long to load as Node.js itself. */
const COMMANDS: Readonly<Record<string, { readonly description: string; load(): Promise<AddCommand> }>> = {
  run: {
    description: 'run a pipeline until stopped, with its dashboard',
    load: async () => (await import('./run.ts')).addRun,
  },
  demo: {
    description: 'show what it does with a clip of a street, in the browser',
    load: async () => (await import('./run.ts')).addDemo,
  },
  validate: {
    description: 'list every mistake of a pipeline file and what it would open, without starting anything',
    load: async () => (await import('./validate.ts')).addValidate,
  },
  pipeline: {
    description: 'what REST and the dashboard changed of a pipeline: show, export, reset',
    load: async () => (await import('./pipeline-changes.ts')).addPipeline,
  },
  detect: {
    description: 'detect objects in every frame of files, folders, patterns or URLs',
    load: async () => (await import('./detect.ts')).addDetect,
  },
  eval: {
    description: 'measure the COCO average precision of a model on this machine',
    load: async () => (await import('./eval.ts')).addEval,
  },
  score: {
    description: 'compute the COCO average precision of a results file',
    load: async () => (await import('./score.ts')).addScore,
  },
  bench: {
    description: 'measure FPS, latency percentiles and CPU per stage',
    load: async () => (await import('./bench.ts')).addBench,
  },
  optimize: {
    description: 'measure a pipeline, find its bottleneck, make it faster without making it worse, and report',
    load: async () => (await import('./optimize.ts')).addOptimize,
  },
  loadtest: {
    description: 'put a pipeline or a running gateway under the load of virtual cameras',
    load: async () => (await import('./loadtest.ts')).addLoadtest,
  },
  models: {
    description: 'detectors: list, fetch, add your own, compile, verify; versions of a running host',
    load: async () => (await import('./models.ts')).addModels,
  },
  doctor: {
    description: 'check this machine: what works, what is missing and how to install it',
    load: async () => (await import('./doctor.ts')).addDoctor,
  },
  setup: {
    description: 'fetch the library of an engine: onnx, openvino, tensorflow',
    load: async () => (await import('./setup.ts')).addSetup,
  },
  host: {
    description: 'join a fleet and run the streams and jobs that it assigns to this host',
    load: async () => (await import('./host.ts')).addHost,
  },
  submit: {
    description: 'submit files to the fleet for bulk detection on many hosts',
    load: async () => (await import('./submit.ts')).addSubmit,
  },
  jobs: {
    description: 'bulk jobs of the fleet: list, show, cancel, retry',
    load: async () => (await import('./jobs.ts')).addJobs,
  },
  discover: {
    description: 'find ONVIF cameras, and which of their streams to use',
    load: async () => (await import('./discover.ts')).addDiscover,
  },
  streams: {
    description: 'live streams of the fleet: list, add, move, remove; drain hosts',
    load: async () => (await import('./streams.ts')).addStreams,
  },
  events: {
    description: 'try rules of events on recordings, and compare two sets of rules',
    load: async () => (await import('./events.ts')).addEvents,
  },
  recordings: {
    description: 'what is recorded: list, verify, export with a signed manifest',
    load: async () => (await import('./recordings.ts')).addRecordings,
  },
  alerts: {
    description: 'print alert rules for Prometheus, made from the targets of a pipeline',
    load: async () => (await import('./print-alert-rules.ts')).addAlerts,
  },
  source: {
    description: 'test a source: what it is, or why it cannot be read',
    load: async () => (await import('./source-command.ts')).addSource,
  },
  rollout: {
    description: 'change the model of live streams step by step, with guards that roll back',
    load: async () => (await import('./rollout.ts')).addRollout,
  },
  tokens: {
    description: 'access tokens of the gateway: add, list, remove',
    load: async () => (await import('./tokens.ts')).addTokens,
  },
};

const HELP = `
Start here:
  sightline demo                                  a clip of a street, live in the browser
  sightline doctor                                check this machine
  sightline detect clip.mp4 --out results.jsonl   detect in every frame of a file

Environment: SIGHTLINE_NODE (a newer Node.js), FFMPEG_PATH, SIGHTLINE_MODEL_PATH (folders with weights), SIGHTLINE_CACHE_DIR, SIGHTLINE_TOKEN,
SIGHTLINE_TOKENS_FILE; REDIS_URL, REDIS_CA_FILE and SIGHTLINE_FLEET_KEYS (the fleet).
An argument @FILE stands for the text of that file: keep passwords and tokens out of the command line.
Exit codes: 0 success; 1 failed while running; 2 wrong command or configuration; 3 done, but a target was not met;
130, 143, 129 interrupted by SIGINT, SIGTERM, SIGHUP; run, demo and host, which end only so, then end with 0.`;

/**
 * Runs one command line.
 *
 * @param args - without node and script.
 * @returns the exit code: 0 success, 1 failed while running, 2 wrong command or configuration, 3 a target was not met.
 */
export async function runCli(args: readonly string[], io: CliIo, version: string): Promise<number> {
  let prepared: string[];
  try {
    prepared = withoutSecrets(args, (text) => note(io, text));
  } catch (error) {
    return reportError(error, io);
  }
  const program = await programFor(prepared[0] === 'help' ? prepared[1] : prepared[0], io);
  return runProgram(program.version(version), prepared, io);
}

/** Returns all commands; of those that are not named only the names, since their code is not loaded. */
export async function programFor(named: string | undefined, io: CliIo): Promise<Command> {
  const program = new Command('sightline')
    .description('Real-time object detection for video: many streams, one machine or many.')
    .addHelpText('after', HELP)
    .showSuggestionAfterError();
  for (const [name, { description, load }] of Object.entries(COMMANDS)) {
    if (name === named) (await load())(program, io);
    else program.command(name);
    program.commands.at(-1)!.description(description);
  }
  return program;
}
