import { statSync } from 'node:fs';
import { counted } from '../base/core/counted.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import type { Ffmpeg } from '../base/process/confinement.ts';
import { openFfmpeg } from '../frame/decode/ffmpeg-binary.ts';
import { listPackets, type StreamHead } from '../frame/decode/list-packets.ts';
import { probeSource } from '../frame/decode/probe.ts';
import { readImage } from '../frame/preprocess/sharp-preprocessor.ts';
import { candidates } from '../frame/runtime/model/choose-engine.ts';
import type { EngineOptions } from '../frame/runtime/model/engine-request.ts';
import { loadConfigured } from '../frame/runtime/model/load-detector.ts';
import type { OpenOptions } from '../frame/runtime/open-runtime.ts';
import { parseSource } from '../frame/source/parse-source.ts';
import { modelSpec } from '../network/store/manifests.ts';
import { type CliIo, show, table } from './cli-io.ts';
import { pathsWritten } from './detect-outputs.ts';
import { type DetectFlags, type DetectPlan, type DetectSource, labelOf } from './detect-plan.ts';

const PROBE_MS = 10_000;

interface InputFacts {
  readonly source: string;
  /** ffmpeg's name of the codec; null if the input was not opened. */
  readonly codec: string | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly seconds: number | null;
  readonly frames: number | null;
  /** Why the input was not opened, or cannot be read. */
  readonly remark: string | null;
}

const UNKNOWN = { codec: null, width: null, height: null, seconds: null, frames: null } as const;

/** Reports what a command would do: its inputs, outputs, model and engine. Writes no result and opens no network source. */
export async function dryRun(
  plan: DetectPlan,
  flags: DetectFlags,
  options: EngineOptions & Pick<OpenOptions, 'decoder'>,
  io: CliIo,
): Promise<void> {
  const { sources, outputs, skipped, special } = plan;
  const { model, environment, onNotice, decoder } = options;
  const spec = modelSpec(await loadConfigured(model, environment));
  const [engine] = (await candidates(options)).engines;
  const ffmpeg = await openFfmpeg(environment, onNotice, decoder);
  const inputs: InputFacts[] = [];
  for (const source of sources) {
    io.stop.throwIfAborted();
    inputs.push(await inputFacts(source, flags.decode, ffmpeg, io.stop));
  }
  const isRead = inputs.map(({ remark }) => remark?.startsWith(CANNOT_READ) !== true);
  const written = pathsWritten(plan, isRead);
  const { precision } = model;
  const { width, height } = spec.input;
  const found = { name: spec.name, engine, precision, inputWidth: width, inputHeight: height };
  const { resumeFolder } = outputs;
  show(
    io,
    flags,
    { model: found, inputs, skipped, special: Object.fromEntries(special), outputs: written, resumeFolder },
    () =>
      [
        inputsTable(inputs),
        countsText(inputs, isRead, skipped),
        ...skipped.map((path) => `left out: ${path} (${special.get(path) ?? 'by its name neither video nor picture'})`),
        ...(written.length === 0 ? ['none'] : written).map((path) => `output: ${path}`),
        `model: ${spec.name} ${width}x${height}, engine ${engine}, precision ${precision}`,
      ].join('\n'),
  );
}

function inputsTable(inputs: readonly InputFacts[]): string {
  const rows = inputs.map(({ source, codec, width, height, seconds, frames, remark }) => [
    ...[source, codec ?? '-', width === null ? '-' : `${width}x${height}`],
    ...[seconds === null ? '-' : `${seconds.toFixed(1)} s`, `${frames ?? '-'}`, remark ?? ''],
  ]);
  return table([['input', 'codec', 'size', 'duration', 'frames', ''], ...rows]);
}

function countsText(inputs: readonly InputFacts[], isRead: readonly boolean[], skipped: readonly string[]): string {
  const unread = isRead.filter((each) => !each).length;
  const frames = inputs.reduce((sum, input) => sum + (input.frames ?? 0), 0);
  return `${counted(inputs.length, 'input')}, ${counted(frames, 'frame')}, ${unread} cannot be read, ${skipped.length} left out`;
}

const CANNOT_READ = 'cannot be read: ';

async function inputFacts(
  { path, isPicture }: DetectSource,
  decode: DetectFlags['decode'],
  ffmpeg: Ffmpeg,
  stop: AbortSignal,
): Promise<InputFacts> {
  const named = { source: labelOf(path), ...UNKNOWN };
  try {
    const parsed = parseSource(path, { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: PROBE_MS });
    if (parsed.kind !== 'file') return { ...named, remark: 'not opened: a dry run opens files only' };
    if (!statSync(path).isFile()) return { ...named, remark: 'not opened: a pipe or device can be read only once' };
    if (isPicture) {
      const { width, height, damage } = await readImage(path, ffmpeg.confinement.maxPixels);
      const remark = damage === null ? null : `cut off or damaged (${damage})`;
      return { ...named, codec: 'picture', width, height, frames: 1, remark };
    }
    const { width, height } = await probeSource(ffmpeg, parsed, PROBE_MS);
    let head: StreamHead | null = null;
    let frames = 0;
    await listPackets(ffmpeg, parsed.url, null, stop, {
      isWanted: (found) => {
        head = found;
        return true;
      },
      onPacket: ({ isKey }) => {
        if (decode !== 'key' || isKey) frames += 1;
      },
    });
    const { codec, durationUs } = head ?? { codec: null, durationUs: null };
    return {
      ...named,
      codec,
      width,
      height,
      // Packets do not say whether others depend on them.
      frames: decode === 'reference' ? null : frames,
      seconds: durationUs === null ? null : durationUs / 1e6,
      remark: null,
    };
  } catch (error) {
    stop.throwIfAborted();
    const { message } = SightlineError.from(error, 'SOURCE_UNREADABLE');
    return { ...named, remark: `${CANNOT_READ}${message}` };
  }
}
