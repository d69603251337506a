import { count, record } from './bounds.ts';

export type { TracingFigures } from './keys/reports.ts';

/** What became of what was traced, since the start. */
export const tracingFigures = record('TracingFigures', {
  sent: count.describe('What the collector has.'),
  lost: count.describe('What it did not take, or what was too much at once.'),
});
