/** @import { EventKind } from './lib/client/index.js' */

/** @typedef {'good' | 'warn' | 'bad'} Tone */

/**
 * The colour of each kind; others have none.
 *
 * @type {Partial<Record<EventKind, Tone>>}
 */
export const TONES = {
  'target-missed': 'warn',
  'sink-failed': 'bad',
  'stream-warning': 'warn',
  'stream-blind': 'bad',
  'stream-seeing': 'good',
  'stream-late': 'warn',
  'stream-in-time': 'good',
  'engine-failed': 'bad',
  'engine-restarted': 'warn',
  'lane-restarted': 'warn',
  'target-met': 'good',
  'overload-began': 'warn',
  'overload-ended': 'good',
  'sink-recovered': 'good',
  'disk-stalled': 'bad',
  'disk-answered': 'good',
  'host-joined': 'good',
  'host-lost': 'bad',
  'stream-reduced': 'warn',
  'stream-restored': 'good',
  'stream-refused': 'bad',
  'fleet-full': 'warn',
  'fleet-state-lost': 'warn',
  'control-unsuitable': 'warn',
  'rollout-held': 'warn',
  'rollout-promoted': 'good',
  'rollout-rolled-back': 'bad',
  'rollout-aborted': 'warn',
  'rollout-undone': 'warn',
  'rollout-not-loaded': 'bad',
  'settings-failed': 'bad',
  'overlay-failed': 'warn',
  'overlay-recovered': 'good',
};

/** @type {readonly EventKind[]} */
const PROBLEMS = /** @type {EventKind[]} */ (Object.keys(TONES)).filter((kind) => TONES[kind] !== 'good');

/**
 * What can be chosen in the list of events.
 *
 * @type {readonly { label: string, kinds: readonly EventKind[] }[]}
 */
export const CHOICES = [
  { label: 'All kinds', kinds: [] },
  { label: 'Problems', kinds: PROBLEMS },
  { label: 'Targets', kinds: ['target-missed', 'target-met', 'overload-began', 'overload-ended'] },
  { label: 'Rules', kinds: ['rule'] },
  { label: 'Line crossings', kinds: ['line-crossed'] },
  {
    label: 'Streams',
    kinds: [
      'stream-state',
      'stream-added',
      'stream-removed',
      'stream-warning',
      'stream-blind',
      'stream-seeing',
      'stream-late',
      'stream-in-time',
    ],
  },
  {
    label: 'Results',
    kinds: [
      'sink-failed',
      'sink-recovered',
      'sink-notice',
      'recording-failed',
      'recording-recovered',
      'disk-stalled',
      'disk-answered',
    ],
  },
  { label: 'Settings', kinds: ['settings-failed', 'settings-reloaded', 'overlay-failed', 'overlay-recovered'] },
  {
    label: 'Roll-outs',
    kinds: [
      'rollout-started',
      'rollout-advanced',
      'rollout-held',
      'rollout-resumed',
      'rollout-promoted',
      'rollout-rolled-back',
      'rollout-aborted',
      'rollout-undone',
      'rollout-not-loaded',
    ],
  },
];
