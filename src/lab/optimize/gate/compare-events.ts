import { differenceOf, RuleTrial, type WholeEvent } from '../../../after/events/rule-trial.ts';
import type { RecordedResults } from '../../../network/evaluate/recorded-results.ts';
import type { StreamConfig } from '../../../settings/config/stream.ts';

export interface EventComparison {
  readonly kept: number;
  readonly lost: number;
  readonly gained: number;
}

/** Raises the events of a stream's rules on the results of both runs. Null without rules. */
export function compareEvents(
  reference: RecordedResults,
  candidate: RecordedResults,
  stream: StreamConfig,
): EventComparison | null {
  if (stream.events.length === 0) return null;
  const { kept, lost, gained } = differenceOf(eventsIn(reference, stream), eventsIn(candidate, stream));
  return { kept, lost: lost.length, gained: gained.length };
}

/** Without track ids, which are others in each run. */
function eventsIn({ frames, scoreThreshold }: RecordedResults, stream: StreamConfig): WholeEvent[] {
  const trial = new RuleTrial({ ...stream, scoreThreshold }, undefined, () => undefined);
  for (const { by: _by, ...frame } of frames)
    trial.onFrame({ run: '', ...frame } as Parameters<RuleTrial['onFrame']>[0]);
  trial.end();
  return trial.events.map(({ trackId: _trackId, ...event }) => event);
}
