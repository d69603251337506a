import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { ID_PATTERN } from '../../../base/core/ids.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { check } from '../../../settings/config/check.ts';
import { parseStream } from '../../../settings/config/parse-stream.ts';
import { type StreamConfig, streamConfig } from '../../../settings/config/stream.ts';
import type { EventKind } from '../../../wire/protocol/feed.ts';
import type { PipelineConfig } from '../../pipeline/pipeline.ts';

type Settings = Readonly<Record<string, unknown>>;

/** A key that differs from the pipeline file. `file`: what the file said then, `now`: what holds instead; absent: not set. */
const change = z.strictObject({ file: z.unknown().optional(), now: z.unknown().optional() });

const overlayEntry = z.strictObject({
  /** A stream that the file does not have: its settings without the id, as far as they differ from `defaults`. */
  added: z.record(z.string(), z.unknown()).optional(),
  changed: z.record(z.string(), change).optional(),
  isRemoved: z.literal(true).optional(),
  isPaused: z.literal(true).optional(),
});
/** How one stream differs from the pipeline file. */
export type OverlayEntry = z.infer<typeof overlayEntry>;

export const overlayStreams = z.record(z.string().regex(ID_PATTERN), overlayEntry);
/** What REST and the dashboard changed of the streams of a pipeline, by stream. */
export type Overlay = Readonly<z.infer<typeof overlayStreams>>;

/** A stream as it is to run. */
export interface WantedStream {
  readonly config: StreamConfig;
  readonly isPaused: boolean;
  /** Only the overlay has it, and the models of the file cannot fulfil its settings: it fails where it is started. */
  readonly isUnfit?: true;
}

export interface OverlaidStreams {
  /** Those of the file in its order, then those that were added. */
  readonly streams: readonly WantedStream[];
  /** What of the overlay does not fit the file, a sentence each. */
  readonly notes: readonly string[];
}

type StreamSource = Pick<PipelineConfig, 'streams' | 'defaults'>;

/**
 * Lays an overlay over the streams of a pipeline file: key by key, it takes precedence. What no longer fits the file is left
 * out, with a note; the overlay itself stays as it is.
 *
 * @param requireFit - throws for settings that the detectors of the file cannot fulfil.
 */
export function overlaid(
  file: StreamSource,
  overlay: Overlay,
  requireFit: (config: StreamConfig) => void = () => undefined,
): OverlaidStreams {
  const streams: WantedStream[] = [];
  const notes: string[] = [];
  const attempt = (id: string, entry: OverlayEntry, make: () => StreamConfig, other: StreamConfig | null): void => {
    const isPaused = entry.isPaused === true;
    let made: StreamConfig | null = null;
    try {
      made = make();
      // What the file itself says is judged where it is started.
      if (made !== other) requireFit(made);
      streams.push({ config: made, isPaused });
    } catch (error) {
      const instead = other === null ? 'it does not run' : 'the settings of the file are used';
      notes.push(
        `the overlay of stream "${id}" does not fit the pipeline file: ${(error as Error).message}; ${instead}`,
      );
      if (other !== null) streams.push({ config: other, isPaused });
      // Kept, so that a client sees it, and can change or remove it.
      else if (made !== null) streams.push({ config: made, isPaused, isUnfit: true });
    }
  };
  for (const base of file.streams) {
    const entry = overlay[base.id] ?? {};
    const { added, changed = {} } = entry;
    if (entry.isRemoved === true) continue;
    notes.push(...driftOf(base, entry));
    if (added === undefined) attempt(base.id, entry, () => withChanged(base, changed), base);
    else attempt(base.id, entry, () => parseStream({ ...added, id: base.id }, file.defaults), base);
  }
  const known = new Set(file.streams.map(({ id }) => id));
  for (const [id, entry] of Object.entries(overlay)) {
    const { added } = entry;
    if (known.has(id)) continue;
    if (added !== undefined) attempt(id, entry, () => parseStream({ ...added, id }, file.defaults), null);
    else if (entry.isRemoved !== true)
      notes.push(`the pipeline file no longer has stream "${id}"; what the overlay changes of it is not used`);
  }
  return { streams, notes };
}

/**
 * Returns how a stream differs from the pipeline file; undefined if it does not.
 *
 * @param base - what the file says of it; null if the file does not have it.
 * @param now - null if it was removed.
 */
export function overlayEntryOf(
  base: StreamConfig | null,
  defaults: Settings,
  now: WantedStream | null,
): OverlayEntry | undefined {
  if (now === null) return base === null ? undefined : { isRemoved: true };
  const paused = now.isPaused ? { isPaused: true as const } : {};
  if (base === null) return { added: addedSettings(now.config, defaults), ...paused };
  const changed = changedKeys(base, now.config);
  if (Object.keys(changed).length > 0) return { changed, ...paused };
  return now.isPaused ? paused : undefined;
}

/** Returns the keys in which two settings differ. */
function changedKeys(file: Settings, now: Settings): NonNullable<OverlayEntry['changed']> {
  const keys = [...new Set([...Object.keys(file), ...Object.keys(now)])];
  return Object.fromEntries(
    keys
      .filter((key) => !isDeepStrictEqual(file[key], now[key]))
      .map((key) => [
        key,
        {
          ...(file[key] === undefined ? {} : { file: file[key] }),
          ...(now[key] === undefined ? {} : { now: now[key] }),
        },
      ]),
  );
}

function withChanged(base: StreamConfig, changed: NonNullable<OverlayEntry['changed']>): StreamConfig {
  if (Object.keys(changed).length === 0) return base;
  const settings: Record<string, unknown> = { ...base };
  for (const [key, { now }] of Object.entries(changed)) {
    if (now === undefined) delete settings[key];
    else settings[key] = now;
  }
  return check(streamConfig, { ...settings, id: base.id }, `stream "${base.id}"`);
}

/** New values in the file of keys that the overlay keeps. */
function driftOf(base: StreamConfig, { changed = {}, added }: OverlayEntry): string[] {
  const drifted = Object.entries(changed).filter(([key, { file, now }]) => {
    const value = (base as Settings)[key];
    return !isDeepStrictEqual(value, file) && !isDeepStrictEqual(value, now);
  });
  const keys = drifted.map(([key]) => key).join(', ');
  if (keys !== '')
    return [`the pipeline file has new values of ${keys} of stream "${base.id}"; those of the overlay are used`];
  if (added === undefined) return [];
  return [
    `the pipeline file has the stream "${base.id}", which was added before; the settings of the overlay are used`,
  ];
}

function addedSettings({ id, ...config }: StreamConfig, defaults: Settings): Settings {
  const usual = usualSettings(id, config.source, defaults);
  const own = Object.entries(config).filter(([key, value]) => !isDeepStrictEqual(value, usual[key]));
  return { source: config.source, ...Object.fromEntries(own) };
}

/** Defaults alone need not be valid, such as a region of zones without zones: then every key is kept. */
function usualSettings(id: string, source: string, defaults: Settings): Settings {
  try {
    return parseStream({ id, source }, defaults);
  } catch {
    return {};
  }
}

/** Makes the error of a stream that an overlay says nothing of. @param changed - those of which it does. */
export function notOverlaid(id: string, changed: readonly string[]): SightlineError {
  return new SightlineError(
    'STREAM_NOT_FOUND',
    `the overlay changes no stream "${id}"; it changes ${changed.join(', ') || 'none'}`,
    { id },
  );
}

/** Makes the event of a problem with the overlay, or of its end. */
export function overlayTrouble(problem: string | null): readonly [kind: EventKind, stream: undefined, message: string] {
  if (problem === null) return ['overlay-recovered', undefined, 'changes of streams are kept again'];
  return [
    'overlay-failed',
    undefined,
    `${problem}; changes of streams take effect, but they will be lost at a restart`,
  ];
}
