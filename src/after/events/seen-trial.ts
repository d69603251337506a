import { LineCounter } from '../../frame/track/lines.ts';
import { ObjectTracker } from '../../frame/track/object-tracker.ts';
import { resolveTrackOptions } from '../../frame/track/track-options.ts';
import { ruleNeedsTracks } from '../../settings/config/event-rules.ts';
import type { StreamConfig } from '../../settings/config/stream.ts';
import type { RuleTrialReply, TriedEvent } from '../../wire/protocol/tried-rules.ts';
import { readSeen, type SeenEntry } from './seen-codec.ts';
import type { Seen } from './seen-records.ts';
import type { WatchedFrame } from './stream-events.ts';
import { WatchedStream } from './watched-stream.ts';

/** The settings of a stream that a trial depends on. */
export type TrialSettings = Pick<StreamConfig, 'id' | 'events' | 'zones' | 'lines' | 'track' | 'scoreThreshold'>;

export interface SeenTrialRequest {
  readonly settings: TrialSettings;
  readonly seen: Pick<Seen, 'chunks' | 'names' | 'hasUntracked'>;
}

export type SeenTrialOutcome = Pick<RuleTrialReply, 'isFollowedLater' | 'seeing' | 'rules'>;

/** Events of a rule that an answer has. */
const MOST_EVENTS = 50;

/** Tries rules on what their stream just saw, by the code that runs them. Takes seconds: it belongs in a thread. */
export function tryOnSeen({ settings, seen }: SeenTrialRequest): SeenTrialOutcome {
  const { id, events, track, scoreThreshold } = settings;
  const newest = new Map(events.map((rule) => [rule.id, new Map<string, TriedEvent>()]));
  const problems = new Map<string, string>();
  const isFollowedLater = seen.hasUntracked && events.some(ruleNeedsTracks);
  const tracker = isFollowedLater
    ? new ObjectTracker(
        resolveTrackOptions({ ...(typeof track === 'object' ? track : {}), reportScore: scoreThreshold }),
      )
    : null;
  const lines = new LineCounter(settings.lines);
  const entries = entriesOf(seen);
  let first = entries.next();
  let nowMs = first.done === true ? 0 : first.value.nowMs;
  const options = {
    stream: id,
    settings,
    emit: ({ seq: _seq, phase: _phase, fence: _fence, ...event }: Parameters<Emit>[0]) => {
      const ofRule = newest.get(event.rule)!;
      ofRule.set(event.id, event);
      if (ofRule.size > MOST_EVENTS) ofRule.delete(ofRule.keys().next().value!);
    },
    onProblem: (text: string) => {
      const rule = events.find(({ id: name }) => text.startsWith(`rule ${name}: `));
      if (rule !== undefined) problems.set(rule.id, text.slice(`rule ${rule.id}: `.length));
    },
  };
  const watch = new WatchedStream(options, nowMs);
  for (; first.done !== true; first = entries.next()) {
    const entry = first.value;
    nowMs = entry.nowMs;
    if (entry.type === 'picture') watch.onPicture(entry.signs);
    else if (entry.type === 'state') watch.onState(entry.now, nowMs, entry.wallMs);
    else {
      const { frame } = entry;
      const detections = tracker === null ? frame.detections : tracker.update(frame.detections, frame.ptsUs as never);
      const tracked: WatchedFrame = { ...frame, detections };
      watch.onResult({ ...tracked, crossings: lines.update(tracked) }, nowMs);
    }
  }
  return {
    isFollowedLater,
    seeing: watch.seeing(nowMs),
    rules: watch.ruleFigures.map(({ rule, raised, suppressed }) => ({
      rule,
      raised,
      suppressed,
      ...(problems.has(rule) ? { problem: problems.get(rule)! } : {}),
      events: [...newest.get(rule)!.values()],
    })),
  };
}

type Emit = ConstructorParameters<typeof WatchedStream>[0]['emit'];

function* entriesOf({ chunks, names }: SeenTrialRequest['seen']): Generator<SeenEntry, undefined> {
  for (const chunk of chunks) yield* readSeen(chunk, names);
}
