import { statSync } from 'node:fs';
import type { ModelSpec } from '../../../base/core/model.ts';
import { FREE_ACCESS, type SourceAccess, type SourceInput } from '../../../base/core/source.ts';
import { ERROR_CODES } from '../../../base/errors/error-codes.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { Ffmpeg } from '../../../base/process/confinement.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';
import { probeSource } from '../../decode/probe.ts';
import { withOpenSource } from '../../source/open/open-source.ts';
import { parseSource } from '../../source/parse-source.ts';
import type { StreamInput } from './stream-port.ts';

const READ_TIMEOUT_MS = 5_000;
/** The lane decides when a live source is stale, and that can change while ffmpeg runs: longer than any `staleMs`. */
const LIVE_READ_TIMEOUT_MS = 660_000;

/**
 * True if a file is read in real time. Read at full speed, a live file would starve inference and drop most of its
 * frames.
 */
export function isPaced({ realtime, policy, loop }: StreamConfig): boolean {
  return realtime ?? (policy === 'live' || (policy === 'auto' && loop));
}

export interface PictureNeed {
  /** Largest width in pixels; null keeps the source's size. */
  readonly maxWidth: number | null;
}

/**
 * Parses a stream's source, and probes its size if full pictures are needed.
 *
 * @param need - null if the model is the only consumer of pixels. If sharp fits them, it gets pictures of the source's
 * size.
 * @param spec - selects what fits pictures if the stream says `auto`.
 * @param access - what it may open; its `isTlsInsecure` comes from the stream.
 * @throws SOURCE_*, CONFIG_INVALID
 */
export async function resolveStreamInput(
  config: StreamConfig,
  ffmpeg: Ffmpeg,
  need: PictureNeed | null,
  spec: Pick<ModelSpec, 'resizeBy'> = {},
  access: SourceAccess = FREE_ACCESS,
): Promise<StreamInput> {
  const { loop, transport, insecureTls } = config;
  const parsed = parseSource(config.source, {
    loop,
    realtime: isPaced(config),
    rtspTransport: transport,
    readTimeoutMs: READ_TIMEOUT_MS,
    access: { ...access, isTlsInsecure: insecureTls },
  });
  const policy = config.policy === 'auto' ? (parsed.isLive ? 'live' : 'file') : config.policy;
  // With policy `file` any source is read once, to its end: the stream ends if a camera disconnects.
  const isLive = policy === 'live';
  const readTimeoutMs = isLive ? LIVE_READ_TIMEOUT_MS : READ_TIMEOUT_MS;
  const source = { ...parsed, isLive, options: { ...parsed.options, readTimeoutMs } };
  const resizeBy = config.resizeBy === 'auto' ? spec.resizeBy : config.resizeBy;
  const wanted = resizeBy === 'sharp' ? { maxWidth: null } : need;
  const isOnlyWishOfModel = need === null && config.resizeBy === 'auto' && policy === 'live';
  const size = wanted === null ? null : pictureSize(source, ffmpeg, wanted, config.openTimeoutMs);
  // A camera that is off now has no size to learn, and must come back all the same: ffmpeg makes the input then.
  const picture = isOnlyWishOfModel ? await unlessAway(size) : await size;
  return { source, imagePaths: null, label: source.label, policy, picture };
}

/**
 * Reads the first frame of a source, before a stream that runs changes to it. A camera that does not answer now is accepted.
 *
 * @throws SOURCE_* with the cause if another attempt would not help.
 */
export async function tryInput({ source, policy }: StreamInput, ffmpeg: Ffmpeg, timeoutMs: number): Promise<void> {
  if (source === null) return;
  const size = withOpenSource(source, (opened) => probeSource(ffmpeg, opened, timeoutMs));
  // A file is opened once: one that does not answer now would end the stream.
  await (policy === 'live' ? unlessAway(size) : size);
}

/**
 * Reads the first frame of a file, on this machine or behind HTTP, unless that was done for the size of its pictures. A pipe
 * is left alone: it can be read only once.
 *
 * @throws SOURCE_*
 */
export async function requireReadable(
  { source, policy, picture }: StreamInput,
  ffmpeg: Ffmpeg,
  timeoutMs: number,
): Promise<void> {
  if (source === null || picture !== null) return;
  const isFile =
    source.kind === 'file'
      ? statSync(source.url.slice('file:'.length)).isFile()
      : source.kind === 'http' && policy === 'file';
  if (isFile) await withOpenSource(source, (opened) => probeSource(ffmpeg, opened, timeoutMs));
}

/** Null if the source does not answer now. */
async function unlessAway<T>(size: Promise<T> | null): Promise<T | null> {
  try {
    return await size;
  } catch (error) {
    if (error instanceof SightlineError && ERROR_CODES[error.code].retryable) return null;
    throw error;
  }
}

async function pictureSize(
  source: SourceInput,
  ffmpeg: Ffmpeg,
  need: PictureNeed,
  timeoutMs: number,
): Promise<{ width: number; height: number }> {
  const { width, height } = await withOpenSource(source, (opened) => probeSource(ffmpeg, opened, timeoutMs));
  const scale = need.maxWidth === null ? 1 : Math.min(1, need.maxWidth / width);
  // Video encoders with half-size colour planes accept only even sizes.
  return { width: even(width * scale), height: even(height * scale) };
}

function even(pixels: number): number {
  return Math.max(2, Math.round(pixels / 2) * 2);
}
