import type { FrameChange } from '../../src/base/core/frame.ts';
import type { MonoMs, PtsUs } from '../../src/base/core/units.ts';
import type { SlotMeta } from '../../src/base/flow/slot-ring.ts';

/** What a lane writes beside a picture; what a test leaves out is 0, and the picture fills the model's input. */
export function slotMeta({
  frame,
  width,
  height,
  ptsUs = 0,
  captured = 0,
  wallMs = Number.NaN,
  decoded = 0,
  preprocessed = 0,
  change = 'changed',
  hashHigh = 0,
  hashLow = 0,
  shift = { x: 0, y: 0 },
}: {
  readonly frame: number;
  readonly width: number;
  readonly height: number;
  readonly ptsUs?: number;
  readonly captured?: number;
  readonly wallMs?: number;
  readonly decoded?: number;
  readonly preprocessed?: number;
  readonly change?: FrameChange;
  readonly hashHigh?: number;
  readonly hashLow?: number;
  readonly shift?: { readonly x: number; readonly y: number };
}): SlotMeta {
  return {
    frame,
    ptsUs: ptsUs as PtsUs,
    width,
    height,
    captured: captured as MonoMs,
    decoded: decoded as MonoMs,
    preprocessed: preprocessed as MonoMs,
    placement: { scaleX: 1, scaleY: 1, offsetX: 0, offsetY: 0 },
    change,
    shift,
    hashHigh,
    hashLow,
    wallMs,
  };
}
