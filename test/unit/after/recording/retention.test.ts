import { describe, expect, it } from 'vitest';
import { expired, joinLabels, labelsText, type RecordingFile } from '../../../../src/after/recording/archive.ts';
import { recordingsIn, spansOf } from '../../../../src/after/recording/spans.ts';

const DAY_MS = 86_400_000;
const keep = { days: 2, eventDays: 4, clipDays: 6, labelDays: {}, maxBytes: 1e9 };

const file = (
  name: string,
  kind: RecordingFile['kind'],
  day: number,
  more: Partial<RecordingFile> = {},
): RecordingFile => ({
  path: name,
  stream: 'cam',
  kind,
  startMs: day * DAY_MS - 1000,
  endMs: day * DAY_MS,
  bytes: 100,
  isOpen: false,
  ...more,
});
const goneOf = (files: RecordingFile[], retention: object, day: number): string[] =>
  expired(files, { ...keep, ...retention }, day * DAY_MS).map(({ path }) => path);

describe('what is deleted', () => {
  it('is what is older than its kind is kept', () => {
    const files = (['continuous', 'events', 'clip'] as const).map((kind) => file(kind, kind, 0));
    expect(goneOf(files, {}, 2)).toEqual([]);
    expect(goneOf(files, {}, 2.01)).toEqual(['continuous']);
    expect(goneOf(files, {}, 4.01)).toEqual(['continuous', 'events']);
    expect(goneOf(files, {}, 6.01)).toEqual(['continuous', 'events', 'clip']);
  });

  it('is, of too much, the oldest recordings first, then those of events, then clips, and no more than needed', () => {
    const files = [
      ...[
        file('clip', 'clip', 0),
        file('event', 'events', 0),
        file('new', 'continuous', 1),
        file('old', 'continuous', 0.5),
      ],
    ];
    const at = (maxBytes: number): string[] => goneOf(files, { maxBytes }, 1);
    expect(at(400)).toEqual([]);
    expect(at(399)).toEqual(['old']);
    expect(at(200)).toEqual(['old', 'new']);
    expect(at(199)).toEqual(['old', 'new', 'event']);
    expect(at(99)).toEqual(['old', 'new', 'event', 'clip']);
  });

  it('is kept as long as its label says: of several the longest, of a clip no longer than its event, of all recorded as long as that', () => {
    const labelDays = { person: 5, car: 1, 'traffic light': 3, dog: 9 };
    const at = (kind: RecordingFile['kind'], ...labels: string[]): RecordingFile =>
      file(`${kind} ${labels}`, kind, 0, { labels: labelsText(labels) });
    const files = [
      ...[at('events', 'car'), at('events', 'car', 'person'), at('events', 'traffic light'), at('events', 'cat')],
      ...[at('events'), at('continuous', 'car'), at('continuous', 'person'), at('continuous')],
      ...[at('clip', 'car'), at('clip', 'person'), at('clip', 'dog'), at('clip', 'cat')],
    ];
    const newlyGone = (day: number): string[] =>
      goneOf(files, { labelDays }, day + 0.01).filter((path) => !goneOf(files, { labelDays }, day).includes(path));
    expect([1, 2, 3, 4, 5, 6].map(newlyGone)).toEqual([
      ['events car', 'clip car'],
      ['continuous car'],
      ['events traffic light'],
      ['events cat', 'events ', 'continuous '],
      ['events car,person', 'continuous person', 'clip person'],
      ['clip dog', 'clip cat'],
    ]);
  });

  it('is, of too much, what would go first anyway, among those with events and among clips', () => {
    const labelDays = { person: 5, car: 1 };
    const files = [
      file('person', 'events', 0, { labels: 'person' }),
      file('car', 'events', 0.5, { labels: 'car' }),
      file('person clip', 'clip', 0, { labels: 'person' }),
      file('car clip', 'clip', 0.5, { labels: 'car' }),
      file('new', 'continuous', 0.9),
    ];
    expect(goneOf(files, { labelDays, maxBytes: 0 }, 1)).toEqual(['new', 'car', 'person', 'car clip', 'person clip']);
  });

  it('is never taken for another label, and with more labels than a name can hold it is kept the longest', () => {
    const labels = ['a b', 'a_b', 'a~0020b', 'ab', '車', 'a-b', 'a.b', 'a+b', 'a=b', '=', '+', 'constructor'];
    expect(new Set(labels.map((label) => labelsText([label]))).size).toBe(labels.length);
    const many = labelsText(Array.from({ length: 80 }, (_, i) => `class ${i}`));
    expect(many).toBe(joinLabels([many, 'car']));
    const file80 = file('many', 'events', 0, { labels: many });
    for (const days of [1, 20]) {
      const until = Math.max(days, keep.eventDays);
      expect(goneOf([file80], { labelDays: { other: days } }, until)).toEqual([]);
      expect(goneOf([file80], { labelDays: { other: days } }, until + 0.01)).toEqual(['many']);
    }
  });

  it('is never a file that is being written, though its bytes count', () => {
    const files = [file('open', 'continuous', 0, { isOpen: true, bytes: 1000 }), file('done', 'continuous', 9)];
    expect(goneOf(files, { maxBytes: 500 }, 9)).toEqual(['done']);
  });
});

describe('what is recorded', () => {
  const at = (stream: string, fromS: number, toS: number, more: Partial<RecordingFile> = {}): RecordingFile =>
    file(`${stream}${fromS}`, 'continuous', 0, { stream, startMs: fromS * 1000, endMs: toS * 1000, ...more });

  it('is joined where nothing is missing, and has the reason of each gap', () => {
    const files = [
      at('b', 0, 60),
      at('a', 60, 120),
      at('a', 0, 60),
      at('a', 300, 360, { gap: 'reconnect' }),
      at('a', 360, 420),
    ];
    const spans = spansOf(recordingsIn(files, {}));
    expect(
      spans.map(({ stream, fromMs, toMs, gap, files: count }) => [stream, fromMs / 1000, toMs / 1000, gap, count]),
    ).toEqual([
      ['a', 0, 120, null, 2],
      ['a', 300, 420, 'reconnect', 2],
      ['b', 0, 60, null, 1],
    ]);
  });

  it('is apart where its kind changes, where time passed, and without clips', () => {
    const files = [
      at('a', 0, 60),
      at('a', 60, 120, { kind: 'events' }),
      at('a', 130, 140),
      at('a', 0, 9, { kind: 'clip' }),
    ];
    const spans = spansOf(recordingsIn(files, {}));
    expect(spans.map(({ fromMs, ofEvents, gap }) => [fromMs / 1000, ofEvents, gap])).toEqual([
      [0, false, null],
      [60, true, null],
      [130, false, 'missing'],
    ]);
    expect(recordingsIn(files, { fromMs: 60_000, toMs: 130_000 })).toHaveLength(1);
  });
});
