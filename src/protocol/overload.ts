/** What a host says while it is asked for more than it can do: `overload` of its report. */
import { z } from 'zod';
import { amount, id, name, text, timeMs } from './bounds.ts';

/** Settings that a remedy changes, as in a pipeline file; null gives a setting its default, or none. */
export interface RemedyBody {
  /** Take at most this many frames per second. */
  readonly maxFps?: number | null;
  /** A frame that comes at a lower rate may wait longer, in milliseconds. */
  readonly maxAgeMs?: number;
  /** A target cannot be above the rate. */
  readonly target?: { readonly fps: number };
  /** A track must outlive the time between two frames, in milliseconds. */
  readonly track?: { readonly lostMs: number };
  /** Which frames are decoded. */
  readonly decode?: 'all' | 'reference' | 'key';
}

/** Settings of streams to change with `PATCH /api/streams/:id`, and the change that takes them back. */
export interface RemedyChange {
  /** Ids of the streams. */
  readonly streams: readonly string[];
  /** Body of the request. */
  readonly body: RemedyBody;
  /** Body of the request that undoes it. */
  readonly undo: RemedyBody;
}

/** A way out of an overload, and what it leads to. */
export interface Remedy {
  /** rate: fewer frames of each stream; model: another detector; decode: fewer frames are decoded. */
  readonly kind: 'rate' | 'model' | 'decode';
  /** What to do, and the rate that it gives: "lower the rate to 0.6 frames/s". */
  readonly text: string;
  /** Frames per second that all live streams together publish then; null if it cannot be known. */
  readonly fps: number | null;
  /** Frames per second of each stream that asks for as much or more; null if it cannot be known. */
  readonly streamFps: number | null;
  /** True if the rates are an estimate, false if they follow from what this host does now. */
  readonly isEstimate: boolean;
  /** How the rates are known, one phrase. */
  readonly basis: string;
  /** Requests that apply it; empty for a model. */
  readonly changes: readonly RemedyChange[];
  /** The detector, for `POST /api/rollouts` with `{"model": ...}`; `POST /api/rollouts/undo` takes it back. */
  readonly model?: string;
}

/** A host is asked for more than it can do. */
export interface OverloadReport {
  /** Since when, wall clock, milliseconds since 1970. */
  readonly sinceMs: number;
  /** The stage that cannot keep up. */
  readonly stage: 'decode' | 'preprocess' | 'infer' | 'main';
  /** Frames per second that is expected of the live streams together. */
  readonly askedFps: number;
  /** Frames per second that they publish together. */
  readonly doneFps: number;
  /** One sentence with the figures and the remedies. */
  readonly text: string;
  /** The best first. */
  readonly remedies: readonly Remedy[];
}

/** What was lowered while the host was overloaded, and not raised since then. */
export interface LoweredReport {
  /** When the newest of it was lowered, wall clock, milliseconds since 1970. */
  readonly sinceMs: number;
  /** Requests that give the streams their settings from before; each with the one that lowers them again. */
  readonly undo: readonly RemedyChange[];
}

const MOST_STREAMS = 10_000;
const body = z.object({
  maxFps: amount.nullable().optional(),
  maxAgeMs: amount.optional(),
  target: z.object({ fps: amount }).optional(),
  track: z.object({ lostMs: amount }).optional(),
  decode: z.enum(['all', 'reference', 'key']).optional(),
});
const changes = z.array(z.object({ streams: z.array(id).max(MOST_STREAMS), body, undo: body })).max(MOST_STREAMS);
export const loweredReport = z.object({ sinceMs: timeMs, undo: changes });
const remedy = z.object({
  kind: z.enum(['rate', 'model', 'decode']),
  text,
  fps: amount.nullable(),
  streamFps: amount.nullable(),
  isEstimate: z.boolean(),
  basis: text,
  changes,
  model: name.optional(),
});
export const overloadReport = z.object({
  sinceMs: timeMs,
  stage: z.enum(['decode', 'preprocess', 'infer', 'main']),
  askedFps: amount,
  doneFps: amount,
  text,
  remedies: z.array(remedy).max(16),
});
