import type { Command } from 'commander';
import { stringify } from 'yaml';
import { redactSource } from '../base/core/redact.ts';
import { FREE_ACCESS } from '../base/core/source.ts';
import { readGivenText } from '../base/disk/given-file.ts';
import { SightlineError } from '../base/errors/sightline-error.ts';
import { type FfmpegBinary, openFfmpeg } from '../frame/decode/ffmpeg-binary.ts';
import { testSource } from '../frame/decode/test-source.ts';
import { resolveStreamInput } from '../frame/runtime/stream/stream-input.ts';
import { NetworkList, PRIVATE_NETWORKS } from '../frame/source/network-list.ts';
import { askDevices } from '../frame/source/onvif/ask-devices.ts';
import { findDevices } from '../frame/source/onvif/find-devices.ts';
import type { Login } from '../frame/source/onvif/onvif-device.ts';
import { Dialler } from '../frame/source/open/dialler.ts';
import { withOpenSource } from '../frame/source/open/open-source.ts';
import { parseStream } from '../settings/config/parse-stream.ts';
import type { OfferedCamera, OfferedStream } from '../wire/protocol/offered-camera.ts';
import { type CliIo, JSON_FLAG, note, print, printJson, table, wrongCommand } from './cli-io.ts';
import { DECODER_FLAGS, decoderConfigOf } from './decoder-flags.ts';
import { addFlags, type FlagsOf, flagTable, numberIf } from './flag-values.ts';

const FLAGS = flagTable({
  '--network <cidr...>': ['networks that may be searched (default: private ones)', undefined, PRIVATE_NETWORKS],
  '--login-file <file>': 'file that holds user:password of the cameras',
  '--wait <seconds>': [
    'for answers',
    numberIf('--wait', '0.5 to 60 seconds', (value) => value >= 0.5 && value <= 60),
    3,
  ],
  '--no-measure': 'believe what cameras say of their streams, and open none',
  '--input-size <WxH>': ["of the model's input", '416x416'],
  '--yaml': 'print the recommended streams as a pipeline file',
  ...JSON_FLAG,
  ...DECODER_FLAGS,
});
type DiscoverFlags = FlagsOf<typeof FLAGS>;

const OPEN_MS = 8_000;

const HELP = `
Examples:
  sightline discover                                     who is there
  sightline discover --login-file login.txt              and what they offer; the file holds user:password
  sightline discover --login-file login.txt --yaml > cameras.yaml

Asks the private networks of this machine for ONVIF cameras, opens each of their streams for a moment, and recommends the
smallest that is not smaller than the model's input. A camera is only contacted at the address from which it answers.`;

/** A stream of a camera, and what came when it was opened. */
interface FoundStream extends OfferedStream {
  readonly measured: { readonly width: number; readonly height: number; readonly fps: number | null } | null;
  /** Why it could not be opened; null if it was, or was not tried. */
  readonly problem: string | null;
  readonly isRecommended: boolean;
}

interface FoundCamera extends OfferedCamera {
  readonly streams: readonly FoundStream[];
}

/** Adds `discover`. */
export function addDiscover(program: Command, io: CliIo): void {
  addFlags(program.command('discover').addHelpText('after', HELP), FLAGS).action((flags: DiscoverFlags) =>
    run(flags, io),
  );
}

async function run(flags: DiscoverFlags, io: CliIo): Promise<void> {
  const input = /^(\d{1,5})x(\d{1,5})$/.exec(flags.inputSize)?.slice(1).map(Number);
  if (input === undefined)
    throw wrongCommand(`--input-size: expected a size such as 416x416, received "${flags.inputSize}"`);
  const networks = new NetworkList(flags.network, '--network');
  const login = flags.loginFile === undefined ? null : await readLogin(flags.loginFile);
  const devices = await findDevices(networks, flags.wait * 1000, io.stop);
  const dialler = new Dialler({ ...FREE_ACCESS, networks: flags.network });
  const opener = flags.measure
    ? await openFfmpeg(io.environment, (text) => note(io, text), decoderConfigOf(flags))
    : null;
  const cameras: FoundCamera[] = [];
  // One after the other: streams that are opened at once measure each other.
  for (const { streams, ...camera } of await askDevices(devices, login, dialler, io.stop))
    cameras.push({ ...camera, streams: recommended(await measure(streams, login, flags.network, opener), input) });
  if (flags.json === true) printJson(io, { cameras });
  else if (flags.yaml === true) {
    for (const { address, problem, streams } of cameras)
      if (!streams.some(({ isRecommended }) => isRecommended))
        note(io, `${address} is left out: ${problem ?? streams[0]?.problem ?? 'it offers no video'}`);
    print(io, pipelineOf(cameras, login));
  } else print(io, textOf(cameras, login));
}

/** @throws COMMAND_INVALID */
async function readLogin(path: string): Promise<Login> {
  const text = (await readGivenText(path, { code: 'COMMAND_INVALID', mostBytes: 4096 })).trim();
  const at = text.indexOf(':');
  if (at > 0) return { user: text.slice(0, at), password: text.slice(at + 1) };
  throw wrongCommand(`--login-file ${path}: expected user:password in it`);
}

/** Opens each stream as a pipeline would. */
async function measure(
  streams: readonly OfferedStream[],
  login: Login | null,
  networks: readonly string[],
  ffmpeg: FfmpegBinary | null,
): Promise<FoundStream[]> {
  const found: FoundStream[] = [];
  for (const stream of streams) {
    const unknown = { ...stream, measured: null, problem: null, isRecommended: false };
    if (ffmpeg === null) {
      found.push(unknown);
      continue;
    }
    const userInfo = login === null ? '' : `${encodeURIComponent(login.user)}:${encodeURIComponent(login.password)}@`;
    try {
      const source = stream.source.replace('://', () => `://${userInfo}`);
      const config = parseStream({ id: 'test', source, resizeBy: 'ffmpeg' }, {});
      const resolved = await resolveStreamInput(config, ffmpeg, null, {}, { ...FREE_ACCESS, networks });
      const report = await withOpenSource(resolved.source!, (opened) => testSource(ffmpeg, opened, OPEN_MS));
      const { width, height, measuredFps: fps } = report;
      found.push({ ...unknown, measured: { width, height, fps } });
    } catch (error) {
      found.push({ ...unknown, problem: SightlineError.from(error, 'SOURCE_UNREADABLE').message });
    }
  }
  return found;
}

/** Marks the stream that costs least to decode among those that the model need not enlarge; the largest if it must enlarge all. */
function recommended(streams: readonly FoundStream[], [inputWidth, inputHeight]: number[]): FoundStream[] {
  const sized = streams.flatMap((stream) => {
    const { width, height } = stream.measured ?? stream;
    return stream.problem !== null || width === null || height === null ? [] : [{ stream, width, height }];
  });
  const costOf = ({ stream, width, height }: (typeof sized)[number]): number =>
    width * height * ((stream.measured ?? stream).fps ?? 1);
  const enough = sized.filter(({ width, height }) => Math.min(inputWidth! / width, inputHeight! / height) <= 1);
  const best =
    enough.toSorted((a, b) => costOf(a) - costOf(b))[0] ??
    sized.toSorted((a, b) => b.width * b.height - a.width * a.height)[0];
  return streams.map((stream) => ({ ...stream, isRecommended: stream === best?.stream }));
}

function textOf(cameras: readonly FoundCamera[], login: Login | null): string {
  if (cameras.length === 0)
    return 'No ONVIF camera answered. Is it on this network, and ONVIF turned on in its settings?';
  const size = ({ width, height, fps }: { width: number | null; height: number | null; fps: number | null }): string =>
    `${width ?? '?'}x${height ?? '?'} ${fps === null ? '' : `${Number(fps.toFixed(1))}/s`}`.trim();
  const rows = cameras.flatMap(({ address, name, hardware, problem, streams }) => {
    const camera = [address, [name, hardware].filter(Boolean).join(', ')];
    if (streams.length === 0) return [[...camera, problem ?? 'it offers no video', '', '', '']];
    return streams.map((stream, i) => [
      ...(i === 0 ? camera : ['', '']),
      `${stream.isRecommended ? '* ' : '  '}${stream.name}`,
      `${stream.codec} ${size(stream)}`,
      stream.problem ?? (stream.measured === null ? '' : size(stream.measured)),
      redactSource(stream.source),
    ]);
  });
  const hint =
    login === null
      ? '\nMost cameras name their streams only with --login-file.'
      : '\n* recommended; --yaml prints them as a pipeline file.';
  return `${table([['address', 'camera', 'stream', 'as it says', 'measured', 'source'], ...rows])}${hint}`;
}

function inEnvironment(name: string): string {
  return `\${env:${name}}`;
}

/** Returns a pipeline file, with the login in variables of the environment. */
function pipelineOf(cameras: readonly FoundCamera[], login: Login | null): string {
  const ids = new Set<string>();
  const streams = cameras.flatMap(({ address, name, streams: offered }) => {
    const best = offered.find(({ isRecommended }) => isRecommended);
    if (best === undefined) return [];
    const plain =
      (name || address)
        .toLowerCase()
        .replace(/[^a-z0-9]+/g, '-')
        .replace(/^-+|-+$/g, '')
        .slice(0, 40) || 'camera';
    let id = plain;
    for (let n = 2; ids.has(id); n += 1) id = `${plain}-${n}`;
    ids.add(id);
    const user = login === null ? '' : `${inEnvironment('CAMERA_USER')}:${inEnvironment('CAMERA_PASSWORD')}@`;
    return [{ id, source: best.source.replace('://', () => `://${user}`) }];
  });
  return stringify(
    { name: 'cameras', description: 'Cameras that sightline discover found.', streams },
    { lineWidth: 0 },
  ).trimEnd();
}
