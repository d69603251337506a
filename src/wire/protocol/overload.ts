/** What a host says while it is asked for more than it can do: `overload` of its report. */
import { z } from 'zod';
import { amount, id, name, record, text, timeMs } from './bounds.ts';

export type { BrokenRules, LoweredReport, OverloadReport, Remedy, RemedyBody, RemedyChange } from './keys/reports.ts';

const MOST_STREAMS = 10_000;
/** Settings that a remedy changes, as in a pipeline file; null gives a setting its default, or none. */
const body = record('RemedyBody', {
  maxFps: amount.nullable().optional().describe('Take at most this many frames per second.'),
  maxAgeMs: amount.optional().describe('A frame that comes at a lower rate may wait longer, in milliseconds.'),
  track: z
    .object({ lostMs: amount.describe('How long it may be unseen.') })
    .optional()
    .describe('A track must outlive the time between two frames, in milliseconds.'),
  decode: z.enum(['all', 'reference', 'key']).optional().describe('Which frames are decoded.'),
});
/** Settings of streams to change with `PATCH /api/streams/:id`, and the change that takes them back. */
const change = record('RemedyChange', {
  streams: z.array(id).max(MOST_STREAMS).describe('Ids of the streams.'),
  body: body.describe('Body of the request.'),
  undo: body.describe('Body of the request that undoes it.'),
});
const changes = z.array(change).max(MOST_STREAMS);
/** What was lowered while the host was overloaded, and not raised since then. */
export const loweredReport = record('LoweredReport', {
  sinceMs: timeMs.describe('When the newest of it was lowered, wall clock, milliseconds since 1970.'),
  undo: changes.describe(
    'Requests that give the streams their settings from before; each with the one that lowers them again.',
  ),
});
/** Rules that a remedy leaves too few frames. */
const broken = record('BrokenRules', {
  stream: id.describe('Id of the stream.'),
  rules: z.array(name).max(MOST_STREAMS).describe('Ids of its rules and lines that need tracks.'),
});
/** A way out of an overload, and what it leads to. */
const remedy = record('Remedy', {
  kind: z
    .enum(['rate', 'model', 'decode'])
    .describe('rate: fewer frames of each stream; model: another detector; decode: fewer frames are decoded.'),
  text: text.describe('What to do, and the rate that it gives: "lower the rate to 0.6 frames/s".'),
  fps: amount
    .nullable()
    .describe('Frames per second that all live streams together publish then; null if it cannot be known.'),
  streamFps: amount
    .nullable()
    .describe(
      'Frames per second of each stream without rules that asks for as much or more (of all, if all have some); null if it cannot be known.',
    ),
  isEstimate: z
    .boolean()
    .describe('True if the rates are an estimate, false if they follow from what this host does now.'),
  basis: text.describe('How the rates are known, one phrase.'),
  changes: changes.describe('Requests that apply it; empty for a model.'),
  breaks: z
    .array(broken)
    .max(MOST_STREAMS)
    .optional()
    .describe('Rules that get too few frames to follow objects; absent if none does.'),
  model: name
    .optional()
    .describe('The detector, for `POST /api/rollouts` with `{"model": ...}`; `POST /api/rollouts/undo` takes it back.'),
});
/** A host is asked for more than it can do. */
export const overloadReport = record('OverloadReport', {
  sinceMs: timeMs.describe('Since when, wall clock, milliseconds since 1970.'),
  stage: z.enum(['decode', 'preprocess', 'infer', 'main']).describe('The stage that cannot keep up.'),
  cause: z
    .enum(['work', 'others'])
    .optional()
    .describe('work: the stage has too much to do; others: other programs have its cores. Absent from older hosts.'),
  lack: z
    .enum(['few', 'late'])
    .optional()
    .describe('few: too few frames are published; late: enough of them, too late. Absent from older hosts.'),
  othersCores: amount.optional().describe('Cores that other programs use; absent if it is a small part of them.'),
  askedFps: amount.describe('Frames per second that is expected of the live streams together.'),
  doneFps: amount.describe('Frames per second that they publish together.'),
  text: text.describe('One sentence with the figures and the remedies.'),
  remedies: z.array(remedy).max(16).describe('The best first.'),
});
