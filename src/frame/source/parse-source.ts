import { existsSync, realpathSync, statSync } from 'node:fs';
import { closest, distance } from 'fastest-levenshtein';
import { isRedacted, redact } from '../../base/core/redact.ts';
import type { SourceInput, SourceOptions } from '../../base/core/source.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { syntheticGraph } from './synthetic.ts';

const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  'rtsp:': 554,
  'rtsps:': 322,
  'http:': 80,
  'https:': 443,
  'rtmp:': 1935,
  'rtmps:': 443,
};

/** Kinds of sources behind an address, by scheme. */
const NETWORK = {
  ...({ rtsp: 'rtsp', rtsps: 'rtsp', http: 'http', https: 'http' } as const),
  ...({ rtmp: 'rtmp', rtmps: 'rtmp', srt: 'srt' } as const),
};
type NetworkScheme = keyof typeof NETWORK;

const EXAMPLES: Readonly<Record<(typeof NETWORK)[NetworkScheme], string>> = {
  rtsp: 'rtsp://user:password@camera:554/stream',
  http: 'https://user:password@server/live.m3u8',
  rtmp: 'rtmp://server/live/key',
  srt: 'srt://server:9000?streamid=camera&passphrase=secret',
};

export type SourceScheme = NetworkScheme | 'device' | 'synthetic' | 'file';

const SCHEMES: ReadonlySet<string> = new Set([...Object.keys(NETWORK), 'device', 'synthetic']);
const KNOWN = [...SCHEMES].map((scheme) => `${scheme}:`).join(' ');

/** Protocols that are no kind of source: even where the name is close to one of ours, it is not a typing mistake. */
const OTHER_PROTOCOLS: ReadonlySet<string> = new Set([
  ...['rtp', 'udp', 'tcp', 'mms', 'hls', 'dash'],
  ...['ftp', 'ftps', 'sftp', 'smb', 'nfs', 's3', 'ws', 'wss'],
]);
const MOST_TYPOS = 2;

/** Returns the kind of source that `parseSource` makes of a text. A text without a known scheme is a file path. */
export function sourceScheme(text: string): SourceScheme {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1]?.toLowerCase() ?? '';
  return SCHEMES.has(scheme) ? (scheme as SourceScheme) : 'file';
}

/**
 * Parses a source as a user writes it: a file, `http(s)://` (HLS included), `rtsp(s)://`, `rtmp(s)://`, `srt://`, `device:/dev/video0` or
 * `synthetic:GENERATOR` (a test picture of ffmpeg, such as `synthetic:testsrc2=size=1280x720:rate=30`).
 *
 * @throws SOURCE_NOT_FOUND if a file or device does not exist, CONFIG_INVALID if the text cannot be a source,
 *   SOURCE_FORBIDDEN for a `synthetic:` source that is not one of the allowed generators.
 */
export function parseSource(text: string, options: SourceOptions): SourceInput {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1]?.toLowerCase();
  if (scheme !== undefined && Object.hasOwn(NETWORK, scheme))
    return network(NETWORK[scheme as NetworkScheme], text, options);
  if (scheme === 'device') return device(text.slice('device:'.length), options);
  if (scheme === 'synthetic') {
    const graph = syntheticGraph(text.slice('synthetic:'.length));
    return {
      kind: 'synthetic',
      url: graph,
      label: `synthetic:${graph}`,
      isLive: options.realtime,
      probeAddress: null,
      options,
    };
  }
  requireKnownScheme(text);
  return file(sourcePath(text), scheme, options);
}

/** @throws CONFIG_INVALID if a text begins with a scheme and `//`, and the scheme is no kind of source. */
export function requireKnownScheme(text: string): void {
  const scheme = /^([a-z][a-z0-9+.-]{0,20}):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined || scheme === 'file' || SCHEMES.has(scheme) || existsSync(text)) return;
  const meant = nearestScheme(scheme);
  const hint = meant === null ? `known are ${KNOWN}` : `did you mean ${meant}://?`;
  throw new SightlineError(
    'CONFIG_INVALID',
    `source "${redact(text)}": "${scheme}://" is not a kind of source; ${hint}`,
  );
}

/** Returns the scheme that was probably meant; null if none is close. */
function nearestScheme(typed: string): string | null {
  if (OTHER_PROTOCOLS.has(typed)) return null;
  const schemes = Object.keys(NETWORK);
  const sorted = (text: string): string => [...text].sort().join('');
  // Two letters that changed places are the most frequent mistake.
  const swapped = schemes.find((scheme) => sorted(scheme) === sorted(typed));
  const best = swapped ?? closest(typed, schemes);
  return distance(typed, best) <= MOST_TYPOS ? best : null;
}

/** Returns the path of a source of kind `file`. @throws CONFIG_INVALID if a `file://` text is not a valid URL. */
export function sourcePath(text: string): string {
  if (!text.startsWith('file://')) return text;
  try {
    return decodeURIComponent(new URL(text).pathname);
  } catch {
    throw new SightlineError('CONFIG_INVALID', `source "${text}": expected a URL such as file:///videos/a.mp4`);
  }
}

/** Parses an address. Every playlist counts as live; a plain file behind HTTP is read once, like a local one. */
function network(kind: keyof typeof EXAMPLES, text: string, options: SourceOptions): SourceInput {
  // Redaction stops at white space, which would expose the rest of a password that contains it.
  const label = redact(text.replace(/\s/g, '%20'));
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || url.hostname === '') {
    throw new SightlineError(
      'CONFIG_INVALID',
      `source "${label}": expected a URL such as ${EXAMPLES[kind]} (special characters of a password percent-encoded)`,
    );
  }
  if (isRedacted(text))
    throw new SightlineError(
      'CONFIG_INVALID',
      `source "${label}": expected the address with its secrets, received one in which they are hidden (***)`,
    );
  const problem = kind === 'srt' ? srtProblem(text, url) : null;
  if (problem !== null) throw new SightlineError('CONFIG_INVALID', `source "${label}": ${problem}`);
  const isLive = kind !== 'http' || url.pathname.toLowerCase().endsWith('.m3u8') || options.realtime;
  // SRT is UDP, and an encoder that waits for an RTMP client may take the first connection only.
  const probeAddress = kind === 'srt' || kind === 'rtmp' ? null : networkTarget(text);
  return { kind, url: text, label, isLive, probeAddress, options };
}

/** What an SRT address may say. Others open ports of this machine, or make ffmpeg send to another address. */
const SRT_OPTIONS: ReadonlySet<string> = new Set(['mode', 'streamid', 'passphrase', 'pbkeylen', 'latency']);

/** Returns what is wrong with an SRT address; null if nothing is. */
function srtProblem(text: string, { port }: URL): string | null {
  if (port === '') return `expected a port, as in ${EXAMPLES.srt}`;
  const [, query = ''] = /\?([\s\S]*)$/.exec(text) ?? [];
  for (const option of query.split('&')) {
    const [name, value] = option.split('=') as [string, string | undefined];
    if (option !== '' && !SRT_OPTIONS.has(name))
      return `expected options among ${[...SRT_OPTIONS].join(', ')}, received "${redact(`?${name}=`).slice(1, -1)}"`;
    if (name === 'mode' && value !== 'caller') return 'expected mode=caller: this end connects, and listens to nobody';
  }
  return null;
}

/** Returns where a valid URL of a camera or server connects to. */
export function networkTarget(text: string): { host: string; port: number } {
  const url = new URL(text);
  const port = url.port === '' ? (DEFAULT_PORTS[url.protocol.toLowerCase()] ?? 80) : Number(url.port);
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port };
}

function device(path: string, options: SourceOptions): SourceInput {
  if (process.platform === 'linux' && !isDevice(path)) {
    throw new SightlineError(
      'SOURCE_NOT_FOUND',
      `capture device "${path}": expected an existing device such as /dev/video0, found none`,
    );
  }
  return { kind: 'device', url: path, label: `device:${path}`, isLive: true, probeAddress: null, options };
}

/** Returns whether a path is a device. Anything else is reported as missing, so that messages do not reveal which files exist. */
function isDevice(path: string): boolean {
  try {
    const real = realpathSync(path);
    return real.startsWith('/dev/') && statSync(real).isCharacterDevice();
  } catch {
    return false;
  }
}

function file(path: string, scheme: string | undefined, options: SourceOptions): SourceInput {
  if (!existsSync(path)) {
    const hint = scheme === undefined ? '' : ` ("${scheme}:" is not a kind of source; known are ${KNOWN})`;
    throw new SightlineError('SOURCE_NOT_FOUND', `${redact(path)}: no such file${hint}`, { path: redact(path) });
  }
  if (statSync(path).isDirectory()) {
    throw new SightlineError(
      'CONFIG_INVALID',
      `${path}: is a folder; a stream reads one file (commands take folders and patterns)`,
    );
  }
  // Without the prefix ffmpeg would read names such as "a:b.mp4" and "-x.mp4" as a protocol or an option.
  return {
    kind: 'file',
    url: `file:${path}`,
    label: path,
    isLive: options.loop || options.realtime,
    probeAddress: null,
    options,
  };
}
