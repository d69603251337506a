import { describe, expect, it } from 'vitest';
import type { CountComparison } from '../../../../../src/lab/optimize/gate/compare-counts.ts';
import { findingsOf } from '../../../../../src/lab/optimize/report/findings.ts';
import { type Card, type FirstScreen, firstScreenOf } from '../../../../../src/lab/optimize/report/first-screen.ts';
import type { ReportInput } from '../../../../../src/lab/optimize/report/report-input.ts';
import { reportText } from '../../../../../src/lab/optimize/report/report-text.ts';
import { resultOf } from '../../../../../src/lab/optimize/report/result-file.ts';
import { sampleOptimisation } from '../../../../support/sample-optimisation.ts';

const INPUT = sampleOptimisation();
const UNCHANGED = { ...INPUT, best: INPUT.baseline, speedup: null, counts: null, pareto: [], finalists: [] };

/** With plain spaces. */
function screenOf(change: Partial<ReportInput> = {}): FirstScreen {
  const screen = firstScreenOf(findingsOf({ ...INPUT, ...change }));
  return JSON.parse(JSON.stringify(screen).replaceAll('\u00a0', ' ')) as FirstScreen;
}

function cardOf(title: string, change: Partial<ReportInput> = {}): Card | undefined {
  return screenOf(change).cards.find((card) => card.title === title);
}

function outcomeOf(change: Partial<ReportInput>): string {
  return findingsOf({ ...INPUT, ...change }).outcome;
}

const SPEEDUP = INPUT.speedup!;
const HELD_OUT = INPUT.quality.heldOut!;
const [PASSED, ...OTHERS] = INPUT.finalists;
const [GATE, ...COUNTS] = INPUT.counts!.counts as [CountComparison, ...CountComparison[]];
const OTHER_COUNTS = { ...INPUT.counts!, counts: [{ ...GATE, candidate: [19, 22], difference: 9 }, ...COUNTS] };
const FASTER = {
  configuration: OTHERS[1]!.configuration,
  file: 'report/faster.yaml',
  review: 'review.html',
  ap: 0.378,
  quality: null,
  speedup: { ratio: 21.5, interval: [21, 22] as const },
  differences: [
    { kind: 'class' as const, subject: 'handbag', text: "handbag: today's detector reports 121, this one none" },
  ],
  measurements: SPEEDUP.measurements,
};

describe('the verdict', () => {
  it('is the ratio of runs that took turns, not of two runs an hour apart', () => {
    const { headline, sentences, cards } = screenOf();
    expect(headline).toBe('12.1 times as fast at no proven loss');
    expect(sentences.join(' ')).toContain('×12.1, 95 % interval 11.8 to 12.4, from 5 pairs of runs that took turns');
    // The long runs say 19.4 and 243, which is 12.5 times.
    expect(cards.map(({ fps, times }) => [fps, times])).toEqual([
      [19.9, ''],
      [241, '×12.1 (11.8 to 12.4)'],
    ]);
  });

  it('of a machine that was not its own is "measurement invalid", whatever was found', () => {
    const validity = { isValid: false, reasons: ['Others took the CPU in 14 of 20 windows of m001.'] };
    for (const input of [INPUT, UNCHANGED, { ...INPUT, faster: FASTER }]) {
      const screen = screenOf({ ...input, validity });
      expect(screen).toMatchObject({ headline: 'Measurement invalid', tone: 'bad', notes: validity.reasons });
      expect(screen).toMatchObject({ cards: [], counts: null, rises: [] });
      expect(screen.next.map(({ command }) => command)).toEqual([null]);
      expect(JSON.stringify(screen)).not.toMatch(/best\.yaml|faster\.yaml|×/);
    }
  });

  it.each([
    ['faster', {}],
    ['unchanged', { best: INPUT.baseline }],
    ['untried', { best: INPUT.baseline, steps: INPUT.steps.filter(({ verdict }) => verdict === 'ruled-out') }],
    ['unproven', { speedup: null }],
    ['unproven', { speedup: { ...SPEEDUP, interval: [0.98, 1.4] as const } }],
    ['unproven', { speedup: { ...SPEEDUP, interval: [1, 1.4] as const } }],
    ['unproven', { speedup: { ...SPEEDUP, ratio: 1.004, interval: [1.002, 1.006] as const } }],
    ['unproven', { speedup: { ...SPEEDUP, interval: [Number.NaN, 1.4] as const } }],
    ['quality open', { quality: { ...INPUT.quality, heldOut: null } }],
    ['quality open', { quality: { search: null, heldOut: null } }],
    ['quality open', { finalists: [] }],
    ['quality open', { finalists: [{ ...PASSED!, verdict: 'inconclusive' as const }, ...OTHERS] }],
    ['quality open', { finalists: [{ ...PASSED!, verdict: 'not judged' as const }, ...OTHERS] }],
    ['counts differ', { counts: OTHER_COUNTS }],
    ['counts differ', { counts: { ...INPUT.counts!, counts: [{ ...GATE, difference: Number.NaN }] } }],
    ['faster', { counts: { ...OTHER_COUNTS, isAccepted: true } }],
    ['invalid', { validity: { isValid: false, reasons: [] } }],
  ])('is %s for %o', (outcome, change) => {
    expect(outcomeOf(change)).toBe(outcome);
    expect(screenOf(change).tone === 'good').toBe(outcome === 'faster');
    expect(screenOf(change).cards.some(({ title }) => title === 'Proven')).toBe(outcome === 'faster');
  });

  it('says of CPU time that it is no speed', () => {
    expect(screenOf({ byCpuTime: true }).headline).toBe(
      '12.1 times as many frames for the same CPU time at no proven loss',
    );
  });

  it('needs no held-out part where no change may alter what is detected', () => {
    const threads = { ...INPUT.baseline.configuration, inferenceThreads: 2 };
    const best = { ...INPUT.best, configuration: threads };
    expect(outcomeOf({ best, finalists: [], quality: { search: null, heldOut: null } })).toBe('faster');
  });

  it('says a loss within the allowance, and a refusal', () => {
    const heldOut = { ...HELD_OUT, candidate: 0.32, loss: 0.0135, interval: [0.001, 0.019] as const };
    expect(screenOf({ quality: { search: null, heldOut } }).headline).toContain('for a loss within the allowed 0.020');
    const around = { ...heldOut, interval: [-0.002, 0.019] as const };
    expect(screenOf({ quality: { search: null, heldOut: around } }).headline).toBe(
      '12.1 times as fast at no proven loss',
    );
    const finalists = [{ ...PASSED!, verdict: 'refused' as const, reason: 'it loses 0.04' }];
    const { headline, sentences } = screenOf({ finalists });
    expect(headline).toBe('12.1 times as fast, but the quality is refused');
    expect(sentences.at(-1)).toContain('it loses 0.04. Do not use it');
  });

  it('says what limits a pipeline of which nothing is faster', () => {
    const { headline, cards, counts, rises } = screenOf(UNCHANGED);
    expect(headline).toMatch(/^Nothing here is faster: limited by inference, at most [\d.]+ times$/);
    expect(cards.map(({ title }) => title)).toEqual(['Today']);
    expect({ counts, rises }).toEqual({ counts: null, rises: [] });
  });

  it('says of a search that ran no change why not, and not that it tried none', () => {
    const steps = INPUT.steps.filter(({ verdict }) => verdict === 'ruled-out');
    const [first] = screenOf({ ...UNCHANGED, steps }).sentences;
    expect(first).toContain(`Nothing was worth a run beside your pipeline. `);
    expect(first).toContain(steps[0]!.reason);
    const none = screenOf({ ...UNCHANGED, steps: [], ended: 'budget' });
    expect(none.sentences[0]).toContain('too short to measure a single change');
  });
});

describe('the choice', () => {
  it('has each side with its cameras, targets, accuracy and costs', () => {
    const figures = (title: string): Record<string, string> =>
      Object.fromEntries(cardOf(title)!.figures.map(({ name, value }) => [name, value]));
    expect(figures('Today')).toMatchObject({
      'cameras of 30 frames/s': '0',
      'p99<=50ms': '154 ms: missed',
      AP: '0.334',
      'CPU a frame': '60.5 ms',
    });
    expect(figures('Proven')).toMatchObject({
      'cameras of 30 frames/s': '7',
      'p99<=50ms': '21.9 ms: met',
      AP: '0.337',
      'CPU a frame': '7.80 ms',
    });
    expect(cardOf('Proven')).toMatchObject({ isChosen: true, file: 'report/best.yaml' });
    expect(cardOf('Proven')!.configuration).toContain('yolox-nano 480x256, bf16 on openvino; inference threads 2');
  });

  it('says that a number of cameras is not proven', () => {
    const capacity = { ...INPUT.best.capacity!, isProven: false };
    const { figures } = cardOf('Proven', { best: { ...INPUT.best, capacity } })!;
    expect(figures[0]).toEqual({ name: 'cameras of 30 frames/s (not proven)', value: '7' });
  });

  it('warns of a class that lost much, with how little it was judged by, also where that proves nothing', () => {
    const points = cardOf('Proven')!.points;
    expect(points[0]).toMatchObject({ tone: 'good', text: expect.stringContaining('AP +0.003 (−0.019 to +0.024)') });
    expect(points[1]).toEqual({
      tone: 'neutral',
      text: 'Look at this class: microwave −0.570 on 3 pictures with 3 objects, 95 % interval −0.900 to +0.100',
    });
    expect(points).toHaveLength(2);
    const [one] = HELD_OUT.byClass;
    const heldOut = { ...HELD_OUT, byClass: [{ ...one!, units: 1, objects: 1 }] };
    expect(cardOf('Proven', { quality: { search: null, heldOut } })!.points[1]!.text).toMatch(
      /on 1 picture with 1 object, too little for an interval$/,
    );
  });

  it('says that settings which change no detection detect the same', () => {
    const best = { ...INPUT.best, configuration: { ...INPUT.baseline.configuration, inferenceThreads: 2 } };
    const { points } = cardOf('Proven', { best, finalists: [], quality: { search: null, heldOut: null } })!;
    expect(points).toEqual([{ tone: 'good', text: 'It detects what it detects today.' }]);
  });

  it('gives what is faster beside what is proven, with each point that people have to look at', () => {
    const both = screenOf({ faster: FASTER });
    expect(both.headline).toBe('12.1 times as fast at no proven loss');
    expect(both.cards.map(({ title }) => title)).toEqual(['Today', 'Proven', 'Faster, if you accept']);
    const card = both.cards[2]!;
    expect(card).toMatchObject({
      times: '×21.5 (21 to 22)',
      figures: [{ name: 'AP', value: '0.378' }],
      points: [{ tone: 'neutral', text: FASTER.differences[0]!.text }],
      file: 'report/faster.yaml',
      review: 'review.html',
      isChosen: false,
    });
    expect(card.fps).toBeCloseTo(19.9 * 21.5);
    expect(both.next.some(({ command }) => command === 'sightline optimize --review --report report')).toBe(true);
    const none = screenOf({ faster: { ...FASTER, review: null } });
    expect(JSON.stringify(none)).not.toContain('--review');
    const alone = screenOf({ ...UNCHANGED, faster: FASTER });
    expect(alone.headline).toBe('21.5 times as fast; look at 1 difference first');
    expect(alone.cards.map(({ title }) => title)).toEqual(['Today', 'Faster, if you accept']);
    expect(resultOf({ ...INPUT, faster: FASTER })).toMatchObject({
      faster: { ap: 0.378, file: 'report/faster.yaml' },
      // A roll-out asks how many pictures there were.
      quality: { pictures: 75 },
    });
  });
});

describe('the counts', () => {
  it('stand before and after, with what is tolerated', () => {
    const { text, rows } = screenOf().counts!;
    expect(rows[0]).toEqual({
      name: 'line gate',
      before: '26 + 31',
      after: '26 + 30',
      tolerated: '± 3.10',
      state: 'within',
    });
    expect(text).toBe('Another detector finds other objects. Each is within what is tolerated.');
  });

  it('ask for consent where they differ', () => {
    const { headline, counts } = screenOf({ counts: OTHER_COUNTS });
    expect(headline).toBe('12.1 times as fast, but your counts change');
    expect(counts!.rows[0]).toMatchObject({ after: '19 + 22', state: 'differs' });
    expect(counts!.text).toContain('1 count of 3 differs; look at the pictures first');
    expect(screenOf({ counts: { ...OTHER_COUNTS, isAccepted: true } }).counts!.text).toContain('accepts that');
  });
});

describe('the way from the old rate to the new one', () => {
  it('has only adopted steps, one after the other, and all of them as measured', () => {
    const { rises } = screenOf();
    expect(rises[0]).toEqual({ name: 'Today', fps: 19.9 });
    expect(rises.map(({ name }) => name).join()).not.toContain('picodet');
    const model = rises.findIndex(({ name }) => name === 'model: centernet to yolox-nano');
    expect(rises[model]!.fps / rises[model - 1]!.fps).toBeCloseTo(2.71, 2);
    expect(rises.at(-1)!.fps).toBeCloseTo(19.9 * 12.1);
  });
});

describe('what to do', () => {
  const textsOf = (change: Partial<ReportInput> = {}): string => JSON.stringify(screenOf(change).next);

  it('begins with using what was proven, in steps, and names no remedy whose lever was tried', () => {
    const { next } = screenOf();
    expect(next.slice(0, 2).map(({ command }) => command)).toEqual([
      'sightline run report/best.yaml',
      'sightline rollout start --pipeline report/best.yaml --steps 1,10,50,100 --hold 60s',
    ]);
    expect(textsOf()).toContain('A hardware decoder, or smaller streams from the cameras (limited by decoding');
    expect(textsOf()).not.toMatch(/faster engine/i);
  });

  it('tells nobody to use what is not proven, and builds on what runs today', () => {
    const refused = [{ ...PASSED!, verdict: 'refused' as const }];
    for (const change of [{ speedup: null }, { finalists: refused }, { best: INPUT.baseline }]) {
      const texts = textsOf({ finalists: [PASSED!], ...change });
      expect(texts).not.toMatch(/best\.yaml|yolox-nano/);
      // The remedy for decoding gains 1.12 from the baseline, and 1.09 from the best.
      expect(texts).toContain('predicted ×1.12');
    }
  });

  it('asks for evidence where the best was not judged, and only for the fastest of several', () => {
    const open = textsOf({ finalists: [], quality: { ...INPUT.quality, heldOut: null } });
    expect(open).toContain('More labelled pictures would settle yolox-nano 480x256');
    const two = [{ ...OTHERS[0]!, fps: 300 }, ...INPUT.finalists];
    expect(textsOf({ finalists: two }).match(/would settle/g)).toHaveLength(1);
    expect(textsOf({ finalists: two })).toContain('300 frames/s');
    const unlabelled = { ...INPUT.options, annotations: null };
    expect(textsOf({ options: unlabelled })).toContain('Labelled pictures or a longer recording would settle');
  });

  it('quotes paths for a shell', () => {
    const options = { ...INPUT.options, bestPath: "it's here/best.yaml" };
    expect(screenOf({ options }).next[0]!.command).toBe("sightline run 'it'\\''s here/best.yaml'");
  });
});

describe('its text', () => {
  it('has the table of the choice, the points and the commands', () => {
    const text = reportText(screenOf({ faster: FASTER }));
    expect(text.split('\n')[0]).toBe('# 12.1 times as fast at no proven loss');
    expect(text).toContain('| frames per second | 19.9 | 241 | 428 |');
    expect(text).toContain('| pipeline |  | report/best.yaml | report/faster.yaml |');
    expect(text).toContain("- handbag: today's detector reports 121, this one none");
    expect(text).toContain('`sightline run report/best.yaml`');
  });

  it('escapes names, so that none becomes markup or ends a row', () => {
    const screen = screenOf();
    const text = reportText({ ...screen, headline: '**a** <b> #1 a_b', about: 'x\n\n# y | z', notes: ['1. no list'] });
    expect(text).toContain('# \\*\\*a\\*\\* &lt;b&gt; \\#1 a\\_b');
    expect(text).toContain('x \\# y \\| z');
    expect(text).toContain('- 1\\. no list');
    const command = { text: 'Try:', command: 'echo ``a`` | b', measurements: [] };
    expect(reportText({ ...screen, next: [command] })).toContain('```echo ``a`` | b```');
  });
});
