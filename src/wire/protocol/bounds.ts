/**
 * The building blocks of every wire schema. Each has bounds, since data from another process may be infinite or too long.
 * JSON has no NaN, but `1e999` parses as Infinity; zod's numbers refuse both.
 */
import { z } from 'zod';
import { ID_PATTERN } from '../../base/core/ids.ts';

/** The last moment that a JavaScript `Date` can hold, milliseconds since 1970. */
export const LAST_MS = 8.64e15;

/** The output of a schema as read-only data. An absent key is absent, never undefined. */
export type Wire<S extends z.ZodType> = Frozen<z.output<S>>;
/** The type, read-only at each depth. */
export type Frozen<T> = { readonly [K in keyof T]: Frozen<Exclude<T[K], undefined>> };

export const id = z.string().regex(ID_PATTERN);
/** A whole number, 0 to 2^53 - 1. */
export const count = z.number().int().min(0);
/** A measured number that cannot be negative: a rate, a ratio, a load. */
export const amount = z.number().min(0).max(1e15);
/** A measured duration. The clocks of two threads differ by less than a millisecond, so a short one can be negative. */
export const durationMs = z.number().min(-1e9).max(1e12);
export const timeMs = z.number().min(0).max(LAST_MS);
/** Media time; some containers begin before 0. */
export const mediaTimeUs = z.number().int();
/** A name that is not an id: a device, a label, a model. */
export const name = z.string().max(512);
/** A sentence for people, or a path or URL. */
export const text = z.string().max(16_384);

/** Names for `workers/settings-types.mjs`. Not in zod's global registry, which would show in JSON schemas such as that of the REST API. */
export const RECORDS = z.registry<{ readonly id: string }>();
export const KNOWN_KEYS = z.registry<{ readonly keys: readonly string[] }>();

/** A record of the wire. `workers/settings-types.mjs` makes its interface: comments are those of its schemas, and the one above it. */
export function record<S extends z.ZodRawShape>(id: string, shape: S) {
  return z.object(shape).register(RECORDS, { id });
}

/** As `record`, of what a user writes: unknown keys are mistakes, and keys with a default may be absent. */
export function request<S extends z.ZodRawShape>(id: string, shape: S) {
  return z.strictObject(shape).register(RECORDS, { id });
}

/** Counts by reason, at most 64. @param known - reasons of this version; newer hosts may send others. */
export function countsBy(known: readonly string[]) {
  return z
    .record(name, count)
    .refine((reasons) => Object.keys(reasons).length <= 64, 'expected at most 64 reasons')
    .register(KNOWN_KEYS, { keys: known });
}
