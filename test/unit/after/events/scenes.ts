import { StreamEvents, type WatchedFrame } from '../../../../src/after/events/stream-events.ts';
import { parseStream } from '../../../../src/settings/config/parse-stream.ts';
import type { RuleEvent } from '../../../../src/wire/protocol/rule-event.ts';

/** Pictures are 1000 wide and 500 high, ten a second. */
const WIDTH = 1000;
const HEIGHT = 500;
const FRAME_US = 100_000;

/** A person or another object whose feet stand at a place, 40 wide and 100 high. */
export interface Actor {
  readonly id: number;
  readonly label?: string;
  readonly score?: number;
  readonly x: number;
  readonly y?: number;
  /** What second stages have said of it. */
  readonly colour?: string | undefined;
}

export function frameOf(frame: number, actors: readonly Actor[], more: Partial<WatchedFrame> = {}): WatchedFrame {
  const detections = actors.map(({ id, label = 'person', score = 0.8, x, y = 400, colour }) => ({
    classId: 0,
    label,
    score,
    trackId: id,
    box: [x - 20, y - 100, 40, 100] as const,
    ...(colour === undefined ? {} : { attributes: { colour: { label: colour, score: 1, atUs: 0 } } }),
  }));
  return { frame, ptsUs: frame * FRAME_US, width: WIDTH, height: HEIGHT, detections, ...more };
}

const HALVES = [
  {
    id: 'left',
    polygon: [
      [0, 0],
      [0.5, 0],
      [0.5, 1],
      [0, 1],
    ],
  },
];

export interface Recorded {
  readonly events: StreamEvents;
  readonly records: RuleEvent[];
  readonly problems: string[];
}

/** Rules on a stream with a zone `left`. */
export function rulesOn(rules: readonly object[], more: object = {}, startMs?: number, recording?: string): Recorded {
  const records: RuleEvent[] = [];
  const problems: string[] = [];
  const settings = settingsOf(rules, more);
  const events = new StreamEvents({
    stream: 'yard',
    settings,
    emit: (record) => records.push(record),
    onProblem: (text) => problems.push(text),
    startMs,
    recordingOf: () => recording,
  });
  return { events, records, problems };
}

export function settingsOf(rules: readonly object[], more: object = {}) {
  return parseStream({ id: 'yard', source: 'clip.mp4', zones: HALVES, events: rules, ...more }, {});
}

/** Plays frames `from` to `to`, both included. */
export function play(
  { events }: Recorded,
  from: number,
  to: number,
  actors: (frame: number) => readonly Actor[],
): void {
  for (let frame = from; frame <= to; frame++) events.onFrame(frameOf(frame, actors(frame)));
}

/** `rule phase second` of each record. */
export function brief(records: readonly RuleEvent[]): string[] {
  return records.map(({ rule, phase, ptsUs }) => `${rule} ${phase} ${(ptsUs ?? 0) / 1e6}`);
}
