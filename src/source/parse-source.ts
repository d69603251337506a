import { existsSync, statSync } from 'node:fs';
import type { SourceInput, SourceOptions } from '../core/source.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { redact } from './redact.ts';

const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'rtsp:': 554, 'rtsps:': 322, 'http:': 80, 'https:': 443 };

/**
 * Understands what a user wrote as a source: a file, `http(s)://` (HLS included), `rtsp(s)://`, `device:/dev/video0`
 * or `synthetic:GRAPH` (an ffmpeg lavfi graph such as `synthetic:testsrc2=size=1280x720:rate=30`).
 *
 * @throws SOURCE_NOT_FOUND where a file or device does not exist, CONFIG_INVALID where the text cannot be a source.
 */
export function parseSource(text: string, options: SourceOptions): SourceInput {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1]?.toLowerCase();
  if (scheme === 'rtsp' || scheme === 'rtsps') return network('rtsp', text, options, true);
  if (scheme === 'http' || scheme === 'https')
    return network('http', text, options, isLiveUrl(text) || options.realtime);
  if (scheme === 'device') return device(text.slice('device:'.length), options);
  if (scheme === 'synthetic') {
    const graph = text.slice('synthetic:'.length);
    if (graph === '') {
      throw new SightlineError(
        'CONFIG_INVALID',
        'source "synthetic:": expected an ffmpeg lavfi graph after the colon, as in synthetic:testsrc2=size=1280x720:rate=30',
      );
    }
    return { kind: 'synthetic', url: graph, label: text, isLive: options.realtime, knock: null, options };
  }
  return file(text.startsWith('file://') ? decodeURIComponent(new URL(text).pathname) : text, scheme, options);
}

/** A playlist is taken for a live one; a plain file behind HTTP is read once like a local one. */
function isLiveUrl(url: string): boolean {
  return new URL(url).pathname.toLowerCase().endsWith('.m3u8');
}

function network(kind: 'rtsp' | 'http', text: string, options: SourceOptions, isLive: boolean): SourceInput {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new SightlineError(
      'CONFIG_INVALID',
      `source "${redact(text)}": expected a URL such as rtsp://user:password@camera:554/stream`,
    );
  }
  const port = url.port === '' ? (DEFAULT_PORTS[url.protocol] ?? 80) : Number(url.port);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return { kind, url: text, label: redact(text), isLive, knock: { host, port }, options };
}

function device(path: string, options: SourceOptions): SourceInput {
  if (process.platform === 'linux' && !existsSync(path)) {
    throw new SightlineError(
      'SOURCE_NOT_FOUND',
      `capture device "${path}": expected an existing device such as /dev/video0, found none`,
    );
  }
  return { kind: 'device', url: path, label: `device:${path}`, isLive: true, knock: null, options };
}

function file(path: string, scheme: string | undefined, options: SourceOptions): SourceInput {
  if (!existsSync(path)) {
    const hint =
      scheme === undefined
        ? ''
        : ` ("${scheme}:" is not a kind of source; known are rtsp: rtsps: http: https: device: synthetic:)`;
    throw new SightlineError('SOURCE_NOT_FOUND', `${redact(path)}: no such file${hint}`, { path: redact(path) });
  }
  if (statSync(path).isDirectory()) {
    throw new SightlineError(
      'CONFIG_INVALID',
      `${path}: is a folder; a stream reads one file (commands take folders and patterns)`,
    );
  }
  // The prefix keeps names such as "a:b.mp4" and "-x.mp4" from being read as a protocol or an option.
  return {
    kind: 'file',
    url: `file:${path}`,
    label: path,
    isLive: options.loop || options.realtime,
    knock: null,
    options,
  };
}
