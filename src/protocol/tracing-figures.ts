import { z } from 'zod';
import { count } from './bounds.ts';

/** What became of what was traced, since the start. */
export interface TracingFigures {
  /** What the collector has. */
  readonly sent: number;
  /** What it did not take, or what was too much at once. */
  readonly lost: number;
}

export const tracingFigures = z.object({ sent: count, lost: count });
