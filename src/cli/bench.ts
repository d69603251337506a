import { availableParallelism, cpus } from 'node:os';
import type { Command } from 'commander';
import { redact } from '../base/core/redact.ts';
import { openFfmpeg } from '../frame/decode/ffmpeg-binary.ts';
import { openRuntime } from '../frame/runtime/open-runtime.ts';
import { resolveStreamInput } from '../frame/runtime/stream/stream-input.ts';
import { DEFAULT_LIMITS, interference } from '../frame/telemetry/interference.ts';
import { type Measurement, measureRun } from '../lab/measure/measure-run.ts';
import { PARTS } from '../lab/measure/trial-result.ts';
import { demoClip } from '../network/store/package-root.ts';
import { batchConfig } from '../settings/config/batch.ts';
import { check } from '../settings/config/check.ts';
import { parseStream } from '../settings/config/parse-stream.ts';
import { type CliIo, JSON_FLAG, note, show, table } from './cli-io.ts';
import { DECODER_FLAGS, decoderConfigOf } from './decoder-flags.ts';
import { addFlags, type FlagsOf, flagTable, numberIf, whole } from './flag-values.ts';
import { ENGINE_FLAGS, MODEL_FLAGS, modelConfigOf } from './model-flags.ts';

const FLAGS = flagTable({
  ...MODEL_FLAGS,
  ...ENGINE_FLAGS,
  ...DECODER_FLAGS,
  '--streams <n>': ['number of streams that read the input at the same time', whole('--streams', 1, 256), 1],
  '--realtime': 'read the input at its own frame rate and loop it, like a camera',
  '--seconds <s>': [
    'length of the measurement',
    numberIf('--seconds', 'a number above 0, up to 3600', (value) => value > 0 && value <= 3600),
    10,
  ],
  '--warm-up <s>': [
    'time to run before the measurement starts',
    numberIf('--warm-up', 'a number from 0 to 3600', (value) => value >= 0 && value <= 3600),
    2,
  ],
  ...JSON_FLAG,
});
type BenchFlags = FlagsOf<typeof FLAGS>;

const HELP = `
Examples:
  sightline bench clip.mp4                            how fast it can go: every frame, no drops
  sightline bench clip.mp4 --streams 4 --realtime     four cameras: latency, drops, fair shares

Without an input, the demonstration clip is used. Latency runs from the moment when ffmpeg reports a decoded frame to the
publication of its boxes. A fast detector gains a few per cent in its first ten seconds, while Node compiles the code that runs
for every frame: --warm-up 12 excludes them.`;

export function addBench(program: Command, io: CliIo): void {
  const command = program.command('bench').argument('[input]', 'video file or URL (default: the demonstration clip)');
  addFlags(command, FLAGS)
    .addHelpText('after', HELP)
    .action((input: string | undefined, flags: BenchFlags) => bench(input, flags, io));
}

async function bench(input: string | undefined, flags: BenchFlags, io: CliIo): Promise<void> {
  const onNotice = (text: string): void => note(io, text);
  const { environment } = io;
  const ffmpeg = await openFfmpeg(environment, onNotice, decoderConfigOf(flags));
  const source = input ?? demoClip();
  const isLive = flags.realtime === true;
  const runtime = await openRuntime({
    model: modelConfigOf(flags),
    batch: check(batchConfig, {}, 'batch'),
    ffmpeg,
    environment,
    onNotice,
    signal: io.stop,
  });
  try {
    const streams = [];
    for (let i = 1; i <= flags.streams; i++) {
      const config = parseStream(
        { id: `bench-${i}`, source, policy: isLive ? 'live' : 'file', loop: true, realtime: isLive },
        {},
      );
      streams.push({ config, input: await resolveStreamInput(config, ffmpeg, null, runtime.spec) });
    }
    const measured = await measureRun(runtime, {
      streams,
      seconds: flags.seconds,
      warmUpSeconds: flags.warmUp,
      signal: io.stop,
    });
    show(io, flags, { machine: machineDescription(), source: redact(source), ...measured }, () =>
      text(measured, source, flags),
    );
  } finally {
    await runtime.stop();
  }
}

function machineDescription(): string {
  return `${availableParallelism()} cores, ${cpus()[0]?.model.trim() ?? 'unknown CPU'}, Node ${process.version}`;
}

function text(measured: Measurement, source: string, flags: BenchFlags): string {
  const { device, latencyMs, cpuMsPerFrame, busyRatio, batch } = measured;
  const percent = (ratio: number): string => `${(ratio * 100).toFixed(0)} %`;
  const ms = (value: number): string => `${value.toFixed(2)} ms`;
  const before = flags.warmUp === 0 ? '' : ` (${measured.warmUpFps.toFixed(1)} fps in the ${flags.warmUp} s before)`;
  const lines = [
    `${machineDescription()}`,
    `${redact(source)}: ${flags.streams} stream(s), ${flags.realtime === true ? 'real time' : 'as fast as possible'}, ${measured.seconds.toFixed(1)} s`,
    `${device.model} ${device.inputWidth}x${device.inputHeight}, ${device.engine}/${device.provider} ${device.precision}, ${device.threads} inference threads`,
    '',
    `${measured.fps.toFixed(1)} fps, ${measured.frames} frames, ${percent(measured.dropRatio)} dropped${before}`,
    `latency p50 ${ms(latencyMs.p50)}, p95 ${ms(latencyMs.p95)}, p99 ${ms(latencyMs.p99)}, max ${ms(latencyMs.max)}`,
    `batch size ${batch.reason}`,
    '',
    table([
      ['stage', 'CPU per frame', 'busy'],
      ...(['decode', 'preprocess', 'infer', 'main'] as const).map((stage) => [
        stage,
        cpuMsPerFrame === null ? '-' : ms(cpuMsPerFrame[stage]),
        percent(busyRatio[stage]),
      ]),
      ['total', cpuMsPerFrame === null ? '-' : ms(cpuMsPerFrame.total), ''],
    ]),
    '',
    table([['stage of the latency', 'mean'], ...PARTS.map((part) => [part, ms(measured.stagesMs[part])])]),
  ];
  const disturbance = interference(measured.machineUse, DEFAULT_LIMITS);
  if (disturbance !== null) lines.push('', `These figures are disturbed: ${disturbance}.`);
  if (measured.streams.length > 1) {
    const rows = measured.streams.map(({ id, fps, latencyMs: l, frames, conservationGap }) => [
      id,
      `${fps.toFixed(1)} fps`,
      ms(l.p50),
      ms(l.p95),
      JSON.stringify(frames.dropped),
      conservationGap === 0 ? 'exact' : `off by ${conservationGap}`,
    ]);
    lines.push('', table([['stream', 'published', 'p50', 'p95', 'dropped', 'conservation'], ...rows]));
  }
  return lines.join('\n');
}
