import { extname } from 'node:path';
import { type Command, Option } from 'commander';
import { batchConfig } from '../config/batch.ts';
import { check } from '../config/check.ts';
import { previewConfig } from '../config/gateway.ts';
import { FREE_ACCESS } from '../core/source.ts';
import { compressionOf, compressionProblem } from '../disk/compression.ts';
import { readAuthorities } from '../disk/read-authorities.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { loadConfigured } from '../runtime/model/load-detector.ts';
import { openRuntime } from '../runtime/open-runtime.ts';
import { lockOutputs } from '../runtime/results/open-sinks.ts';
import { videoContainer } from '../runtime/results/open-video-sink.ts';
import { ResultSinks, type SinkBinding } from '../runtime/results/result-sinks.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { CocoSink } from '../sinks/coco-sink.ts';
import { JsonlSink } from '../sinks/jsonl-sink.ts';
import { isDevice } from '../sinks/output-names.ts';
import { expandInputs } from '../source/expand-inputs.ts';
import { modelSpec } from '../store/manifests.ts';
import { type CliIo, note, print, printJson } from './cli-io.ts';
import { addDecoderFlags, decoderConfigOf } from './decoder-flags.ts';
import { type DetectFlags, detectInput, detectStream, type InputSummary } from './detect-input.ts';
import { interruptedCode } from './interruption.ts';
import { addEngineFlags, addModelFlag, modelConfigOf } from './model-flags.ts';
import { startProgress } from './progress.ts';
import { ReportedFailure } from './reported-failure.ts';
import { table } from './table.ts';
import { addRegionFlag, addTilesFlag } from './view-flags.ts';

const HELP = `
Examples:
  sightline detect clip.mp4 --out results.jsonl
  sightline detect recordings/ "more/*.mkv" --model yolox-nano --track --out all.jsonl
  sightline detect clip.mp4 --out results.jsonl.gz
  sightline detect clip.mp4 --video annotated.mp4
  sightline detect yard.mp4 --skip-unchanged --track-between auto --out yard.jsonl    infer only what is new
  sightline detect street.mp4 --tiles 3x2 --out small-objects.jsonl

Every frame of every input gets one line. Folders are read recursively. If an input cannot be read, the command reports it,
processes the others and ends with exit code 1.

Results are written to NAME.partial.EXT (follow them with tail -f) and replace an earlier file at the end. If the command is
interrupted or fails, what there is stays in NAME.partial.EXT and the earlier file as it is. Exit code after Ctrl-C: 130.`;

export function addDetect(program: Command, io: CliIo): void {
  const command = program
    .command('detect')
    .argument('<input...>', 'video files, folders, patterns, http(s):// or rtsp://');
  addTilesFlag(addRegionFlag(addDecoderFlags(addEngineFlags(addModelFlag(command)))))
    .option('--min-score <0..1>', 'lowest score to report (default: from the manifest)', Number)
    .option('--out <file>', 'write one JSON line for each frame; .gz or .zst compresses; "-" for standard output')
    .option('--coco <file>', 'write COCO results')
    .option('--video <file>', 'write the video with boxes drawn on it (one input only)')
    .option('--track', 'track objects from frame to frame')
    .option('--skip-unchanged', 'repeat the result of the last inferred frame while nothing changes')
    .addOption(
      new Option(
        '--track-between <n|auto>',
        'infer every n-th frame and predict the boxes between by tracking; auto adapts n to the motion',
      ).argParser((text) => (text === 'auto' ? text : Number(text))),
    )
    .addOption(
      new Option('--cache <n>', 'keep the results of n pictures; equal pictures are inferred once').argParser(Number),
    )
    .addOption(new Option('--every <n>', 'process every n-th frame').argParser(Number).default(1))
    .option('--ca <file>', 'PEM file of certificate authorities that https:// and rtsps:// inputs may use')
    .option('--insecure-tls', 'accept any certificate of https:// and rtsps:// inputs')
    .option('--json', 'one JSON document with the summary on standard output')
    .addHelpText('after', HELP)
    .action((inputs: string[], flags: DetectFlags) => detect(inputs, flags, io));
}

async function detect(inputs: readonly string[], flags: DetectFlags, io: CliIo): Promise<void> {
  if (flags.json === true && flags.out === '-')
    throw new SightlineError('COMMAND_INVALID', '--json and --out - both write to standard output: choose one');
  const model = modelConfigOf(flags);
  const decoder = decoderConfigOf(flags);
  const sources = await expandInputs(inputs);
  if (flags.out !== undefined) await requireLinesName(flags.out);
  if (flags.video !== undefined) videoContainer(flags.video);
  if (flags.video !== undefined && sources.length > 1)
    throw new SightlineError('COMMAND_INVALID', `--video takes one input, received ${sources.length}`);
  for (const source of sources) detectStream('input', source, flags);
  const access = { ...FREE_ACCESS, authorities: flags.ca === undefined ? null : readAuthorities(flags.ca, '--ca') };
  const sinkFailed = new AbortController();
  const onFailure = (): void => sinkFailed.abort();
  const sinks = await openSinks(flags, sources, onFailure, io);
  const runtime = await openRuntime({
    model,
    decoder,
    batch: check(batchConfig, {}, 'batch'),
    preview: check(previewConfig, {}, 'preview'),
    sinks,
    environment: io.environment,
    onNotice: (text) => note(io, text),
  }).catch(async (error: unknown) => {
    sinks.markCutShort();
    await sinks.close();
    throw error;
  });
  const flushed = io.crash?.add(() => runtime.flushSinks());
  const summaries: InputSummary[] = [];
  let sinkErrors: SightlineError[] = [];
  const progress = startProgress(io, 'frames');
  // Work whose results cannot be written is wasted: a failed sink ends the command as Ctrl-C does.
  const stop = AbortSignal.any([io.stop, sinkFailed.signal]);
  try {
    for (const [i, source] of sources.entries()) {
      if (stop.aborted) break;
      summaries.push(
        await detectInput({ runtime, sinks, flags, access, progress, io, stop, onFailure }, source, `input-${i + 1}`),
      );
    }
  } finally {
    progress.stop();
    if (doneOf(summaries) < sources.length || !summaries.some(({ error, frames }) => error === null || frames > 0))
      sinks.markCutShort();
    sinkErrors = await runtime.stop();
    flushed?.();
  }
  report(summaries, sinkErrors, flags, runtime, io);
  end(summaries, sources.length, sinkErrors, io);
}

/** Inputs that were read to their end, or as far as they can be read. */
function doneOf(summaries: readonly InputSummary[]): number {
  return summaries.filter(({ isInterrupted }) => !isInterrupted).length;
}

/** @throws ReportedFailure with the exit code, unless everything is done. */
function end(
  summaries: readonly InputSummary[],
  inputs: number,
  sinkErrors: readonly SightlineError[],
  io: CliIo,
): void {
  const done = doneOf(summaries);
  if (sinkErrors.length === 0 && done < inputs) {
    const current = summaries.find(({ isInterrupted, frames }) => isInterrupted && frames > 0);
    const where = current === undefined ? '' : `, frame ${current.frames} of ${current.source}`;
    const message = `interrupted after ${done} of ${inputs} ${inputs === 1 ? 'file' : 'files'}${where}`;
    note(io, message);
    throw new ReportedFailure({ message, exitCode: interruptedCode(io.stop) });
  }
  const failed = summaries.find(({ error }) => error !== null)?.error;
  const first = failed == null ? sinkErrors[0] : SightlineError.fromWire(failed);
  if (first !== undefined) throw new ReportedFailure(first);
}

/** Extensions of `--out`, each also with `.gz` and `.zst`. A name without one is taken as it is. */
const LINES_EXTENSIONS = ['.jsonl', '.ndjson'];

/** A file named `r.csv` would hold JSON lines. @throws COMMAND_INVALID */
async function requireLinesName(path: string): Promise<void> {
  const name = compressionOf(path) === null ? path : path.slice(0, -extname(path).length);
  const extension = extname(name).toLowerCase();
  if (extension === '' || LINES_EXTENSIONS.includes(extension) || (await isDevice(path))) return;
  const known = LINES_EXTENSIONS.flatMap((known) => [known, `${known}.gz`, `${known}.zst`]).join(', ');
  const hint = extension === '.json' ? ' (--coco writes one JSON document)' : '';
  throw new SightlineError(
    'COMMAND_INVALID',
    `--out: expected a name that ends in ${known}, received "${path}"${hint}`,
  );
}

/** @throws COMMAND_INVALID, SINK_BUSY, MODEL_NOT_FOUND */
async function openSinks(
  flags: DetectFlags,
  sources: readonly string[],
  onFailure: () => void,
  io: CliIo,
): Promise<ResultSinks> {
  const { out, coco, video } = flags;
  const problem = out === undefined ? null : compressionProblem(out);
  if (problem !== null) throw new SightlineError('COMMAND_INVALID', `--out: ${problem}`);
  const spec = coco === undefined ? null : modelSpec(await loadConfigured(modelConfigOf(flags), io.environment));
  const locks = await lockOutputs(
    Object.entries({ out, coco, video }).flatMap(([flag, path]) =>
      path === undefined ? [] : [{ id: `--${flag}`, path }],
    ),
  );
  const listeners = { onFailure, onNotice: (text: string): void => note(io, text) };
  const bindings: SinkBinding[] = [];
  if (out !== undefined)
    bindings.push({
      sink: new JsonlSink({ id: '--out', path: out, namesInputs: true, stdout: io.stdout, ...listeners }),
      streams: null,
    });
  if (coco !== undefined && spec !== null) {
    const { classes } = spec;
    bindings.push({
      sink: new CocoSink({ id: '--coco', path: coco, classes, sources, ...listeners }),
      streams: null,
    });
  }
  return new ResultSinks(bindings, locks);
}

function report(
  summaries: readonly InputSummary[],
  sinkErrors: readonly SightlineError[],
  flags: DetectFlags,
  runtime: Runtime,
  io: CliIo,
): void {
  const { engine, provider, precision } = runtime.engineInfo;
  const { width, height } = runtime.spec.input;
  if (flags.json === true) {
    const model = { name: runtime.spec.name, engine, provider, precision, inputWidth: width, inputHeight: height };
    printJson(io, { model, inputs: summaries, sinks: sinkErrors.map((error) => error.toWire()) });
  }
  for (const { source, warnings, decodeErrors, error } of summaries) {
    for (const warning of warnings) note(io, `warning: ${warning}`);
    if (decodeErrors > 0)
      note(io, `warning: ${source}: ${decodeErrors} decode errors (damaged data); ffmpeg repaired what it could`);
    if (error !== null) note(io, `error: ${error.message} [${error.code}]`);
  }
  for (const error of sinkErrors) note(io, `error: ${error.message} [${error.code}]`);
  if (flags.json !== true && flags.out !== '-') {
    const rows = summaries.map(({ source, frames, detections, seconds, fps, results }) => [
      source,
      `${frames}`,
      `${results.inferred - results.cached}`,
      `${detections}`,
      `${seconds.toFixed(1)} s`,
      `${fps.toFixed(1)} fps`,
    ]);
    if (rows.length > 0) print(io, table([['input', 'frames', 'inferred', 'detections', 'time', 'rate'], ...rows]));
    print(io, `${runtime.spec.name} ${width}x${height}, ${engine}/${provider} ${precision}`);
  }
}
