import type { Command } from 'commander';
import { openFfmpeg } from '../frame/decode/ffmpeg-binary.ts';
import { testSource } from '../frame/decode/test-source.ts';
import { resolveStreamInput } from '../frame/runtime/stream/stream-input.ts';
import { withOpenSource } from '../frame/source/open/open-source.ts';
import { parseStream } from '../settings/config/parse-stream.ts';
import type { StreamRequest } from '../wire/protocol/rest.ts';
import type { SourceTest } from '../wire/protocol/source-test.ts';
import { type CliIo, JSON_FLAG, note, show } from './cli-io.ts';
import { DECODER_FLAGS, decoderConfigOf } from './decoder-flags.ts';
import { addFlags, type FlagsOf, flagTable, given } from './flag-values.ts';
import { ACCESS_FLAGS, gatewayApi, refuseAccessFlags } from './gateway-client.ts';

const FLAGS = flagTable({
  '--transport <protocol>': ['of RTSP', ['tcp', 'udp']],
  '--insecure-tls': 'accept any certificate of an https:// or rtsps:// source',
  '--timeout <seconds>': ['longest wait for the first frame, at most 15 with --url (default: 10)', Number],
  '--url <url>': 'gateway of a host that opens it, such as https://host:8080, in place of this machine',
  ...JSON_FLAG,
  ...DECODER_FLAGS,
  ...ACCESS_FLAGS,
});
type SourceFlags = FlagsOf<typeof FLAGS>;

const HELP = `
Examples:
  sightline source test @gate-url.txt          the file holds rtsp://user:password@camera/1
  sightline source test clip.mp4 --json
  SIGHTLINE_TOKEN=... sightline source test rtsp://camera/1 --url https://host-1:8080     from that host, by its rules

Opens the source as a stream would, reads it for a second and a half, and says what it is, or why it cannot be read.`;

/** Adds `source test`. */
export function addSource(program: Command, io: CliIo): void {
  const source = program.command('source').addHelpText('after', HELP);
  const test = source
    .command('test <source>')
    .description('open a source for a moment: codec, size, frame rate, delay, or why not');
  addFlags(test, FLAGS).action((text: string, flags: SourceFlags) => run(text, flags, io));
}

async function run(source: string, flags: SourceFlags, io: CliIo): Promise<void> {
  const { transport, insecureTls, timeout, url } = flags;
  const openTimeoutMs = timeout === undefined ? undefined : timeout * 1000;
  const settings = { source, ...given({ transport, insecureTls, openTimeoutMs }) };
  if (url === undefined) refuseAccessFlags(flags, '--url');
  const report =
    url === undefined
      ? await testHere(settings, flags, io)
      : await gatewayApi(io, { ...flags, url }).testSource(settings as Omit<StreamRequest, 'id'>);
  show(io, flags, report, () => reportText(report));
}

async function testHere(settings: object, flags: SourceFlags, io: CliIo): Promise<SourceTest> {
  const config = parseStream({ id: 'test', ...settings, resizeBy: 'ffmpeg' }, {});
  const ffmpeg = await openFfmpeg(io.environment, (text) => note(io, text), decoderConfigOf(flags));
  const { source } = await resolveStreamInput(config, ffmpeg, null);
  return withOpenSource(source!, (opened) => testSource(ffmpeg, opened, config.openTimeoutMs));
}

function reportText(report: SourceTest): string {
  const { codec, width, height, statedFps, measuredFps, firstFrameMs, durationMs, frames, readMs } = report;
  const { ignoredAudio, timeProblems } = report;
  const rate = (fps: number | null): string => (fps === null ? 'unknown' : `${fps}`);
  const rows: readonly (readonly [name: string, text: string])[] = [
    ['video', `${codec ?? 'unknown codec'}, ${width}x${height}`],
    ['frames/s', `${rate(measuredFps)} measured, ${rate(statedFps)} stated`],
    ['first frame', `after ${firstFrameMs} ms; ${frames} frames within ${readMs} ms`],
    ...(durationMs === null ? [] : [['length', `${(durationMs / 1000).toFixed(1)} s`] as const]),
    ['audio', ignoredAudio.length === 0 ? 'none' : `${ignoredAudio.join(', ')}, ignored`],
    ['time stamps', timeProblems.length === 0 ? 'in order' : timeProblems.join('; ')],
  ];
  return [report.source, ...rows.map(([name, text]) => `  ${name.padEnd(12)}${text}`)].join('\n');
}
