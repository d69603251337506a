import { isDeepStrictEqual } from 'node:util';
import { canonicalJson } from '../../../base/core/canonical-json.ts';
import { check } from '../../../settings/config/check.ts';
import { keysMarked } from '../../../settings/config/schema-text.ts';
import { type StreamConfig, streamConfig } from '../../../settings/config/stream.ts';
import type { StreamChanges, StreamPatch } from '../../../wire/protocol/rollout-records.ts';

/** Settings of a stream that a version can change: how its frames are read and which of them are inferred. */
const ROLLED_KEYS = keysMarked(streamConfig, 'rollout', 'changes');

/** Settings that show the model another part of the picture: results under both versions could not be compared. */
const FIXED_KEYS = keysMarked(streamConfig, 'rollout', 'fixed');

/** The settings of a pipeline that are compared to find what a version changes. */
export interface ComparedSettings {
  readonly defaults: Readonly<Record<string, unknown>>;
  readonly streams: readonly (Readonly<Record<string, unknown>> & { readonly id: string })[];
}

/** Returns the stream settings of a pipeline that matter to a roll-out; sources are left out. */
export function rolledSettings({ defaults, streams }: ComparedSettings): ComparedSettings {
  return { defaults: rolled(defaults), streams: streams.map((stream) => ({ id: stream.id, ...rolled(stream) })) };
}

/**
 * Returns what must be changed on the streams of one pipeline, so that they have the settings of another one. Streams that the
 * other one does not name get the changes of its defaults.
 */
export function changesBetween(from: ComparedSettings, to: ComparedSettings): StreamChanges {
  const all = patchOf(from.defaults, to.defaults);
  const byId: Record<string, StreamPatch> = {};
  for (const stream of from.streams) {
    const other = to.streams.find(({ id }) => id === stream.id);
    const patch = other === undefined ? all : patchOf(stream, other);
    if (!isDeepStrictEqual(patch, all)) byId[stream.id] = patch;
  }
  return { all, byId };
}

/** Returns the settings of streams that differ and that no version can change, such as `region of door`. */
export function fixedBetween(from: ComparedSettings, to: ComparedSettings): string[] {
  return FIXED_KEYS.flatMap((key) => {
    const differs = (a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): boolean =>
      canonicalJson(a[key]) !== canonicalJson(b[key]);
    const names = from.streams.filter((stream) => {
      const other = to.streams.find(({ id }) => id === stream.id);
      return other !== undefined && differs(stream, other);
    });
    const isInDefaults = names.length === 0 && differs(from.defaults, to.defaults);
    return [...names.map(({ id }) => `${key} of ${id}`), ...(isInDefaults ? [`${key} of defaults`] : [])];
  });
}

/** Returns whether a version changes no stream. */
export function changesNothing({ all, byId }: StreamChanges): boolean {
  return [all, ...Object.values(byId)].every((patch) => Object.keys(patch).length === 0);
}

/** Returns the settings of a stream under a version. @throws CONFIG_INVALID */
export function withChanges(config: StreamConfig, changes: StreamChanges | undefined): StreamConfig {
  const patch = changes?.byId[config.id] ?? changes?.all ?? {};
  if (Object.keys(patch).length === 0) return config;
  const next = Object.entries({ ...config, ...patch }).filter(([, value]) => value !== null);
  return check(streamConfig, Object.fromEntries(next), `stream "${config.id}"`);
}

/** Returns whether two versions infer other frames of a stream. */
export function skipsDiffer(stream: string, a: StreamChanges | undefined, b: StreamChanges | undefined): boolean {
  const skipOf = (changes: StreamChanges | undefined): unknown => (changes?.byId[stream] ?? changes?.all)?.skip ?? null;
  return canonicalJson(skipOf(a)) !== canonicalJson(skipOf(b));
}

/** @returns the changed keys; null removes one. */
function patchOf(from: Readonly<Record<string, unknown>>, to: Readonly<Record<string, unknown>>): StreamPatch {
  const changed = ROLLED_KEYS.filter((key) => canonicalJson(from[key]) !== canonicalJson(to[key]));
  return Object.fromEntries(changed.map((key) => [key, to[key] ?? null]));
}

function rolled(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const given = [...ROLLED_KEYS, ...FIXED_KEYS].filter((key) => settings[key] !== undefined);
  return Object.fromEntries(given.map((key) => [key, settings[key]]));
}
