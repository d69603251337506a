import { realpath } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { FREE_ACCESS, type SourceAccess, type SourceInput } from '../../../base/core/source.ts';
import { isBelowRoot } from '../../../base/disk/real-path.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { networkTarget } from '../parse-source.ts';
import { Dialler } from './dialler.ts';
import type { OpenedSource } from './opened-source.ts';
import { SourceRelay } from './source-relay.ts';

/**
 * Makes a source ready for one ffmpeg, so that all that it opens is bound by the rules of the source: redirects, playlists and
 * their entries, names that resolve to another address later, links that point elsewhere now.
 *
 * HTTP goes through a proxy of our own (`HttpProxy`), RTMP and RTSP through a relay (`SourceRelay`), unless RTSP is over UDP. Close it when the ffmpeg
 * has ended.
 *
 * @throws SOURCE_FORBIDDEN, SOURCE_NOT_FOUND, CONFIG_INVALID
 */
export async function openSource(source: SourceInput): Promise<OpenedSource> {
  const { access = FREE_ACCESS } = source.options;
  switch (source.kind) {
    case 'http':
      // Node's HTTP takes 20 ms to load, which other sources do not need.
      return await (await import('./http-proxy.ts')).HttpProxy.open(source, new Dialler(access));
    case 'rtsp':
      return await openRtsp(source, new Dialler(access));
    case 'rtmp':
      return await SourceRelay.open(source, new Dialler(access));
    case 'srt':
      return direct(await srtAddress(source, new Dialler(access)));
    case 'file':
      return direct(access.roots === null ? source : await rootedFile(source, access.roots));
    default:
      return direct(source);
  }
}

/**
 * Opens a source for as long as `use` runs.
 *
 * @throws what `use` throws, or what the source reports about it, which is more exact.
 */
export async function withOpenSource<T>(source: SourceInput, use: (opened: SourceInput) => Promise<T>): Promise<T> {
  const opened = await openSource(source);
  try {
    return await use(opened.source);
  } catch (error) {
    throw opened.failure ?? error;
  } finally {
    opened.close();
  }
}

/**
 * Connects to the address of a source within its rules, and disconnects. This costs a fraction of a millisecond, against 50 ms of
 * CPU to start an ffmpeg that then fails. So an absent camera can be tried every second and is read as soon as it is back.
 *
 * @returns whether something answers there.
 * @throws SOURCE_FORBIDDEN
 */
export async function isReachable(source: SourceInput, timeoutMs: number): Promise<boolean> {
  const { probeAddress, options } = source;
  if (probeAddress === null) return true;
  const { access = FREE_ACCESS } = options;
  try {
    (await new Dialler(access).connect({ ...probeAddress, isTls: false }, timeoutMs)).destroy();
    return true;
  } catch (error) {
    const { code, message, isRetryable } = SightlineError.from(error, 'SOURCE_UNREACHABLE');
    if (isRetryable) return false;
    throw new SightlineError(code, `${source.label}: ${message}`);
  }
}

async function openRtsp(source: SourceInput, dialler: Dialler): Promise<OpenedSource> {
  const isTls = /^rtsps:/i.test(source.url);
  if (!isTls && source.options.rtspTransport === 'udp') {
    if (!dialler.isLimited) return direct(source);
    throw new SightlineError(
      'SOURCE_FORBIDDEN',
      `${source.label}: a camera can send ffmpeg to any address over UDP, and networks are limited (fleet.networks): use transport tcp`,
    );
  }
  return await SourceRelay.open(source, dialler);
}

/** Gives ffmpeg the address that was checked, whatever the name server answers next time. SRT has no redirects. */
async function srtAddress(source: SourceInput, dialler: Dialler): Promise<SourceInput> {
  const { host, port } = networkTarget(source.url);
  try {
    const address = await dialler.resolve(host);
    const authority = `${isIPv6(address) ? `[${address}]` : address}:${port}`;
    return { ...source, url: source.url.replace(/^srt:\/\/[^/?#]*/i, `srt://${authority}`) };
  } catch (error) {
    const { code, message } = SightlineError.from(error, 'SOURCE_UNREACHABLE');
    throw new SightlineError(code, `${source.label}: ${message}`);
  }
}

/** Gives ffmpeg the real path, since the links in a path may have changed after it was checked. */
async function rootedFile(source: SourceInput, roots: SourceAccess['roots'] & {}): Promise<SourceInput> {
  const path = source.url.slice('file:'.length);
  const place = await realpath(path).catch(() => null);
  if (place === null) throw new SightlineError('SOURCE_NOT_FOUND', `${source.label}: no such file`);
  if (await isBelowRoot(place, roots)) return { ...source, url: `file:${place}` };
  throw new SightlineError(
    'SOURCE_FORBIDDEN',
    `${source.label}: allowed are files below ${roots.join(', ') || 'no folder'} (fleet.roots)`,
  );
}

function direct(source: SourceInput): OpenedSource {
  return { source, failure: null, close: () => undefined };
}
