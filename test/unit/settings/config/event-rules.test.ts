import { describe, expect, it } from 'vitest';
import { modelFaults } from '../../../../src/settings/config/model-fit.ts';
import { parseStream } from '../../../../src/settings/config/parse-stream.ts';
import { WeeklyClock } from '../../../../src/settings/config/weekly-times.ts';

const zones = [
  {
    id: 'door',
    polygon: [
      [0.6, 0],
      [1, 0],
      [1, 1],
    ],
    labels: ['person'],
  },
];
const lines = [{ id: 'gate', from: [0, 0.5], to: [1, 0.5] }];

function refusal(rule: object, more: object = {}): string {
  try {
    parseStream({ id: 'yard', source: 'clip.mp4', zones, lines, ...more, events: [{ id: 'rule', ...rule }] }, {});
  } catch (error) {
    return (error as Error).message;
  }
  return 'accepted';
}

describe('a rule that cannot work is refused by name', () => {
  it.each([
    [{ kind: 'enters', zone: 'dor' }, {}, 'events[0].zone: expected a zone of the stream: door, received "dor"'],
    [{ kind: 'crosses', line: 'x' }, { lines: [] }, 'events[0].line: expected a line of the stream, which has none'],
    [
      { kind: 'enters', zone: 'door' },
      { region: { x: 0, y: 0, width: 0.5, height: 1 } },
      'events[0].zone: expected a zone that reaches into the region of the stream',
    ],
    [{ kind: 'enters', zone: 'door', labels: ['car'] }, {}, 'events[0].labels: expected one of person'],
    [{ kind: 'appears', labels: ['car'] }, { labels: ['dog', 'cat'] }, 'expected one of dog, cat'],
    [{ kind: 'dwells' }, {}, 'events[0].for'],
    [{ kind: 'dwells', for: '15' }, {}, 'expected a time such as 15s'],
    [{ kind: 'dwells', for: '8d' }, {}, 'at most 7d'],
    [{ kind: 'count' }, {}, 'expected above, below or both'],
    [{ kind: 'count', above: 3, below: 4 }, {}, 'since no number is above 3 and below 4'],
    [
      { kind: 'appears', when: 'score >' },
      {},
      'expected a condition in CEL; it ends at character 8, where something is missing',
    ],
    [{ kind: 'appears', when: 'colour == "red"' }, {}, 'it names "colour" at character 1'],
    [{ kind: 'appears', when: 'score + 1.0' }, {}, 'it gives a number; compare it, as in score > 0.5'],
    [{ kind: 'appears', when: 'label.matches("(a+)+$")' }, {}, 'it calls matches()'],
    [
      { kind: 'appears', when: 'cel.bind(x, [1], x == x)' },
      {},
      'events[0].when: expected a condition in CEL; it calls bind() at character 5',
    ],
    [{ kind: 'appears', times: { on: ['mon-fry 22:00-06:00'] } }, {}, 'expected days and a span'],
    [{ kind: 'appears', times: { on: ['mon 25:00-26:00'] } }, {}, 'expected days and a span'],
    [
      { kind: 'appears', times: { timeZone: 'Mars/Base', on: ['daily 08:00-18:00'] } },
      {},
      'expected an IANA time zone',
    ],
    [{ kind: 'apears' }, {}, 'events[0].kind'],
    [{ kind: 'appears', zone: 'door' }, {}, 'zone'],
  ])('%j', (rule, more, expected) => {
    expect(refusal(rule, more)).toContain(expected);
  });

  it('names a label that the model lacks', () => {
    const stream = parseStream(
      { id: 'yard', source: 'clip.mp4', events: [{ id: 'r', kind: 'appears', labels: ['truck'] }] },
      {},
    );
    const model = { spec: { classes: ['person', 'car'] }, scoreThreshold: 0.3 };
    expect(modelFaults(stream, model)).toEqual([
      'events[0].labels[0]: expected a class of the model, received "truck"; it has person, car',
    ]);
  });

  it('refuses two rules of one name', () => {
    const rule = { id: 'same', kind: 'appears' };
    expect(() => parseStream({ id: 'yard', source: 'clip.mp4', events: [rule, rule] }, {})).toThrow(
      'no other rule has',
    );
  });
});

describe('WeeklyClock', () => {
  const inBerlin = (on: string[]): WeeklyClock => new WeeklyClock({ timeZone: 'Europe/Berlin', on });
  const at = (text: string): number => Date.parse(text);

  it('includes the night that begins on a day, until the next morning', () => {
    const clock = inBerlin(['fri 22:00-06:00']);
    // 2026-05-08 is a Friday; Berlin is two hours ahead of UTC.
    expect(clock.includes(at('2026-05-08T19:59:59Z'))).toBe(false);
    expect(clock.includes(at('2026-05-08T20:00:00Z'))).toBe(true);
    expect(clock.includes(at('2026-05-09T03:59:59Z'))).toBe(true);
    expect(clock.includes(at('2026-05-09T04:00:00Z'))).toBe(false);
    expect(clock.includes(at('2026-05-09T20:30:00Z'))).toBe(false);
  });

  it('goes by the clock on the wall when daylight saving begins', () => {
    const clock = inBerlin(['sun 01:00-04:00']);
    // On 2026-03-29, 02:00 becomes 03:00 in Berlin: the span is two hours long.
    expect(clock.includes(at('2026-03-29T00:00:00Z'))).toBe(true);
    expect(clock.includes(at('2026-03-29T01:59:59Z'))).toBe(true);
    expect(clock.includes(at('2026-03-29T02:00:00Z'))).toBe(false);
  });

  it('takes lists, ranges over the end of the week, and whole days', () => {
    const clock = inBerlin(['sat-mon 00:00-24:00', 'wed,thu 12:00-13:00']);
    const noons = ['04', '05', '06', '07', '08', '09', '10'].map((day) =>
      clock.includes(at(`2026-05-${day}T10:30:00Z`)),
    );
    expect(noons).toEqual([true, false, true, true, false, true, true]);
  });
});
