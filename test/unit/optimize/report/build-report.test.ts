import { describe, expect, it } from 'vitest';
import { buildReport } from '../../../../src/optimize/report/build-report.ts';
import type { Block, Section } from '../../../../src/optimize/report/document.ts';
import { DISTILLED, PRUNED, PRUNED_TIME } from '../../../../src/optimize/report/published-results.ts';
import { renderHtml } from '../../../../src/optimize/report/render-html.ts';
import { renderMarkdown } from '../../../../src/optimize/report/render-markdown.ts';
import type { ReportInput, ReportMeasurement, ReportTrial } from '../../../../src/optimize/report/report-input.ts';
import { sampleOptimisation } from '../../../support/sample-optimisation.ts';

const INPUT = sampleOptimisation();

function trialOf(input: ReportInput, id: string): ReportTrial {
  return input.measurements.find((record) => record.id === id)!.result as ReportTrial;
}

/** The report as text, with plain spaces. */
function textOf(input: ReportInput): string {
  return renderMarkdown(buildReport(input)).replaceAll('\u00a0', ' ');
}

function section(input: ReportInput, id: string): Section {
  return buildReport(input).sections.find((candidate) => candidate.id === id)!;
}

/** The text of one section. */
function sectionText(input: ReportInput, id: string): string {
  const report = buildReport(input);
  return renderMarkdown({ ...report, sections: [section(input, id)] }).replaceAll('\u00a0', ' ');
}

function withTrial(id: string, change: Partial<ReportTrial>): ReportInput {
  const measurements = INPUT.measurements.map(
    (record): ReportMeasurement =>
      record.id === id ? { ...record, result: { ...(record.result as ReportTrial), ...change } } : record,
  );
  return { ...INPUT, measurements };
}

function plots(input: ReportInput): string[] {
  return buildReport(input).sections.flatMap(({ blocks }) =>
    blocks.flatMap((block) => (block.kind === 'plot' ? [block.plot.wide] : [])),
  );
}

describe('the summary', () => {
  it('is three sentences: where it was, where it is, what to do first', () => {
    const [lead] = section(INPUT, 'summary').blocks;
    expect(lead?.kind === 'lead' && lead.sentences).toHaveLength(3);
    const text = sectionText(INPUT, 'summary');
    expect(text).toContain('ran at **19.4 frames/s**');
    expect(text).toContain('runs at **243 frames/s, 12.5 times** the rate');
    expect(text).toContain('First, run `sightline run report/best.yaml`');
    expect(text).toContain('**model: centernet to yolox-nano** brings most, 2.71 times the rate');
  });

  it('names the targets that are still missed', () => {
    const [, ...met] = INPUT.best.targets;
    const missed = { target: 'fps>=300', measured: 243, state: 'missed', reason: 'too slow' } as const;
    const text = sectionText({ ...INPUT, best: { ...INPUT.best, targets: [missed, ...met] } }, 'summary');
    expect(text).toContain('it does not meet the target `fps>=300`');
  });

  it('says so if nothing helped, and points at the worst bottleneck', () => {
    const text = sectionText({ ...INPUT, best: INPUT.baseline, steps: [], pareto: [] }, 'summary');
    expect(text).toContain('No change that was tried is faster and keeps the quality');
    expect(text).toContain('First, look at inference, which is busy 93 % of the time');
    expect(text).not.toContain('best.yaml');
  });
});

describe('nothing is canned', () => {
  it('other measurements give other sentences, tables and plots', () => {
    const changed = withTrial(INPUT.best.measurement, {
      fps: 97,
      stagesMs: { decode: 4, infer: 30, unaccounted: 1 },
      latenciesMs: [30, 35, 40],
      latencyMs: { count: 3, p50: 35, p95: 40, p99: 40, max: 40 },
    });
    expect(sectionText(changed, 'summary')).toContain('runs at **97 frames/s, 5 times** the rate, with a p99 of 40 ms');
    const [before, after] = [plots(INPUT), plots(changed)];
    expect(after).toHaveLength(before.length);
    // Waterfall, stages, latency. Busy shares and the Pareto front show other figures, which did not change.
    expect(before.map((svg, i) => svg !== after[i])).toEqual([true, true, true, false, false]);
  });

  it('the largest stage, the prediction error and the plan follow the figures', () => {
    const slowDecode = withTrial(INPUT.baseline.measurement, { stagesMs: { decode: 60, infer: 20 } });
    expect(sectionText(slowDecode, 'baseline')).toContain('decode takes most: 60 ms of 80 ms, 75 %');
    const [first] = INPUT.steps;
    const exact = { ...INPUT, steps: [{ ...first!, predictedGain: 1.2, measuredGain: 1 }] };
    expect(sectionText(exact, 'bottlenecks')).toContain('median absolute error of the predictions is 20 %');
    const larger = { ...INPUT.best, capacity: { ...INPUT.best.capacity!, cameras: 20 } };
    const plan = sectionText({ ...INPUT, best: larger }, 'infrastructure');
    // 20 cameras less a fifth are 16 a host.
    expect(plan).toMatch(/\| 100 \| not possible \| 7 \| 8 \|/);
    expect(plan).toContain('capacityFps: 600');
  });

  it('an unstable measurement, frames that do not add up and discarded windows are admitted', () => {
    const doubtful = withTrial(INPUT.baseline.measurement, {
      isStable: false,
      littleLawGap: 0.21,
      discardedWindows: 1,
    });
    const text = sectionText(doubtful, 'baseline');
    expect(text).toContain('did not become stable');
    expect(text).toContain('1 window in which others took the CPU was left out');
    expect(text).toContain('differ by 21 %');
  });

  it('only steps that lead to the best configuration are in the waterfall', () => {
    const text = sectionText(INPUT, 'summary');
    expect(text).toContain('| model: centernet to yolox-nano | ×2.94 | ×2.71 |');
    expect(text).not.toContain('picodet');
    expect(sectionText(INPUT, 'model')).toContain('picodet');
  });

  it('names what would decide a refusal that the evidence leaves open', () => {
    const undecided = { ...INPUT.refusals[0]!, loss: 0.01, allowed: 0.02, upperBound: 0.03 };
    const input = { ...INPUT, refusals: [undecided] };
    expect(sectionText(input, 'roadmap')).toContain('label more pictures for');
    const unlabelled = { ...input, options: { ...input.options, annotations: null } };
    expect(sectionText(unlabelled, 'roadmap')).toContain('judge on a longer recording for');
  });

  it('says how well predicted frames agree if the best configuration skips inference', () => {
    const skipped = { f1: 0.9876, frames: 400, measurements: [INPUT.best.measurement] };
    const text = sectionText({ ...INPUT, skipped }, 'summary');
    expect(text).toContain('on video it agrees with inference of every frame with an F1 of 0.988');
    expect(sectionText(INPUT, 'summary')).not.toContain('inference of every frame');
  });

  it('without a price, labels, capacity, samples or CPU times it says what is missing', () => {
    const bare = withTrial(INPUT.best.measurement, { cpuMsPerFrame: null, latenciesMs: null });
    const text = textOf({
      ...bare,
      quality: null,
      refusals: [],
      baseline: { ...bare.baseline, capacity: null, targets: [] },
      best: { ...bare.best, capacity: null, targets: [] },
      options: { ...bare.options, hostPrice: null, target: null, annotations: null, images: null },
    });
    expect(text).toContain('its quality was not judged');
    expect(text).toContain('With `--host-price` the table shows what a camera costs');
    expect(text).toContain('predicted from the rate, not measured');
    expect(text).toContain('No targets were given');
    expect(text).toContain('The CPU time of inference was not measured here');
    expect(text).toContain('The quality gate refused nothing');
    expect(text).not.toMatch(/NaN|undefined|Infinity|null/);
  });
});

describe('every figure names its measurement', () => {
  it('a name that does not exist is refused', () => {
    const [first, ...others] = INPUT.steps;
    const wrong = { ...INPUT, steps: [{ ...first!, measurements: ['m999'] }, ...others] };
    expect(() => buildReport(wrong)).toThrow('step 1 names measurement m999, which is not among the measurements');
  });

  it('a side without a trial is refused', () => {
    const quality = INPUT.measurements.find(({ kind }) => kind === 'quality')!.id;
    expect(() => buildReport({ ...INPUT, best: { ...INPUT.best, measurement: quality } })).toThrow('is not a trial');
  });

  it('each block with a measured unit holds the id of a measurement', () => {
    const unit = /\d\u00a0(ms|frames\/s|times|cameras?)|×\d|AP of/;
    const isSettled = (block: Block): boolean => block.kind === 'key-figures' || block.kind === 'listing';
    const blocks = buildReport(INPUT)
      .sections.filter(({ id }) => id !== 'measurements')
      .flatMap(({ id, blocks: all }) => all.filter((block) => !isSettled(block)).map((block) => ({ id, block })));
    const nameless = blocks
      // A plot's drawing and table stand below a caption with the ids.
      .map(({ id, block }) => ({ id, text: JSON.stringify(block.kind === 'plot' ? block.plot.caption : block) }))
      .filter(({ text }) => unit.test(text) && !text.includes('"measured"'));
    // The table of published results: the paragraph below it names the measurement that its last column is computed from.
    expect(nameless.map(({ id }) => id)).toEqual(['training']);
  });
});

/** Numbers in a text, as written: `1,234`, `0.041`, `12.5`. Names, sizes, versions, ids and commands are left out. */
function numbersIn(markdown: string): string[] {
  const text = markdown
    .replace(/```[\s\S]*?```/g, ' ')
    .replace(/<a id="[^"]*"><\/a>m\d+/g, ' ')
    .replace(/\]\([^)]*\)/g, ']')
    .replace(/`[^`]*`/g, ' ');
  return [...text.matchAll(/(?<![\w.,-])\d[\d,]*(?:\.\d+)?(?![\w]|\.\d)/g)].map(([number]) => number.replace(/,$/, ''));
}

/** Every number of the input, those inside of its texts included; latencies and windows only by their summary. */
function numbersOf(value: unknown, key = ''): number[] {
  if (typeof value === 'number') return [value];
  if (typeof value === 'string') return [...value.matchAll(/\d+(?:\.\d+)?/g)].map(([number]) => Number(number));
  if (typeof value !== 'object' || value === null || key === 'latenciesMs' || key === 'windows') return [];
  return Object.entries(value).flatMap(([name, part]) => numbersOf(part, name));
}

function isRounded(written: string, value: number): boolean {
  const decimals = written.split('.')[1]?.length ?? 0;
  return Math.abs(Number(written.replaceAll(',', '')) - Math.abs(value)) <= 0.5 * 10 ** -decimals + 1e-9;
}

describe('every number in the text', () => {
  const before = trialOf(INPUT, INPUT.baseline.measurement);
  const after = trialOf(INPUT, INPUT.best.measurement);
  const given = numbersOf(INPUT).flatMap((value) => [value, value * 100, value / 1e6, value / 2 ** 30]);

  /** What the report computes, computed here by hand. */
  function derived(): number[] {
    const ratio = after.fps / before.fps;
    const measured = INPUT.steps.filter(({ measuredGain }) => measuredGain !== null);
    const errors = measured
      .map((step) => 100 * Math.abs(step.predictedGain / step.measuredGain! - 1))
      .sort((a, b) => a - b);
    const chosen = [0, 1, 3, 6, 8, 9].map((i) => INPUT.steps[i]!);
    let [rate, product, predicted] = [before.fps, 1, 1];
    const rates = chosen.map((step) => {
      product *= step.measuredGain!;
      predicted *= step.predictedGain;
      rate *= step.measuredGain!;
      return rate;
    });
    const shares = [before, after].flatMap(({ stagesMs }) => {
      const whole = Object.values(stagesMs).reduce((a, b) => a + b, 0);
      return [whole, ...Object.values(stagesMs).map((time) => (100 * time) / whole)];
    });
    const sorted = [before, after].map(({ latenciesMs }) => [...latenciesMs!].sort((a, b) => a - b));
    const quantiles = sorted.flatMap((times) =>
      [0.5, 0.9, 0.95, 0.99].map((q) => times[Math.ceil(q * times.length) - 1]!),
    );
    const busy = [before, after].flatMap(({ windows }) =>
      (['decode', 'preprocess', 'infer', 'main'] as const).flatMap((stage) => {
        const values = windows.filter((window) => !window.isDiscarded).map(({ busyRatio }) => busyRatio[stage] * 100);
        return [values.reduce((a, b) => a + b, 0) / values.length, Math.max(...values)];
      }),
    );
    const { total, infer } = after.cpuMsPerFrame!;
    const pruned = PRUNED.map(({ keptRatio }) => total / (total - infer * (1 - keptRatio)));
    const hosts = [10, 100, 1000].flatMap((cameras) => {
      const count = Math.ceil(cameras / 5);
      return [cameras, count, count + 1, (count + 1) * 48, ((count + 1) * 48) / cameras];
    });
    const bottlenecks = INPUT.bottlenecks.flatMap((b) =>
      b.measuredGain === null ? [] : [100 * Math.abs(b.predictedGain / b.measuredGain - 1)],
    );
    const gaps = [
      30 / 19.4,
      before.latencyMs.p99 / 50,
      100 * (1 - 30 / 243),
      100 * (1 - after.latencyMs.p99 / 50),
      100 * (1 - 4 / 7),
    ];
    const summed = INPUT.measurements.reduce((a, { seconds }) => a + seconds, 0);
    return [
      ratio,
      before.latencyMs.p99 / after.latencyMs.p99,
      before.cpuMsPerFrame!.total / total,
      (errors[4]! + errors[5]!) / 2,
      measured.length,
      ...rates,
      product,
      predicted,
      ...shares,
      ...quantiles,
      before.latenciesMs!.length,
      ...busy,
      ...pruned,
      5,
      ...hosts,
      ...bottlenecks,
      ...gaps,
      (after.fps * total) / 1000,
      INPUT.refusals.length,
      INPUT.measurements.length,
      // Durations in minutes and seconds.
      Math.floor(summed / 60),
      Math.round(summed) % 60,
      18,
      32,
      ...INPUT.measurements.flatMap(({ seconds }) => [Math.floor(seconds / 60), seconds % 60]),
      // The refused configuration that is nearest, beyond the allowance; AP of refused ones; a numbered list of points.
      0.0277 - 0.02,
      ...INPUT.refusals.map(({ loss }) => 0.3302 - loss!),
      1,
      2,
      3,
      4,
      5,
      6,
    ];
  }

  /** Figures of others, and what the text explains with. */
  const published = [
    ...[...PRUNED, ...DISTILLED].flatMap(({ apBefore, apAfter }) => [apBefore, apAfter, Math.abs(apAfter - apBefore)]),
    ...PRUNED.flatMap(({ keptRatio }) => [keptRatio * 100, 100 - keptRatio * 100]),
    PRUNED_TIME.removedRatio * 100,
    PRUNED_TIME.savedRatio * 100,
    ...[...PRUNED, ...DISTILLED].flatMap(({ source, network }) => numbersOf([source.name, network])),
  ];
  const explained = [50, 90, 95, 99, 100, 1];

  it('is in the input, or follows from it', () => {
    const known = [...given, ...derived(), ...published, ...explained];
    const unknown = numbersIn(textOf(INPUT)).filter((number) => !known.some((value) => isRounded(number, value)));
    expect(unknown).toEqual([]);
  });

  it('would be noticed if it were made up', () => {
    const known = [...given, ...derived(), ...published, ...explained];
    const invented = ['17.37', '612', '0.777', '8.15', '3,333'];
    expect(invented.filter((number) => !known.some((value) => isRounded(number, value)))).toEqual(invented);
  });
});

describe('the page and the text', () => {
  it('hold the same numbers', () => {
    const document = buildReport(INPUT);
    const html = renderHtml(document)
      .replace(/<style>[\s\S]*?<\/style>/, '')
      .replace(/<svg[\s\S]*?<\/svg>/g, '')
      .replace(/<[^>]*>/g, ' ')
      .replaceAll('\u00a0', ' ');
    const missing = numbersIn(textOf(INPUT)).filter((number) => !html.includes(number));
    expect(missing).toEqual([]);
  });
});
