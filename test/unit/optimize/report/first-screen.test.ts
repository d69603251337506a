import { describe, expect, it } from 'vitest';
import type { CountComparison } from '../../../../src/optimize/gate/compare-counts.ts';
import { findingsOf } from '../../../../src/optimize/report/findings.ts';
import type { ReportInput, ReportTrial } from '../../../../src/optimize/report/report-input.ts';
import { resultOf } from '../../../../src/optimize/report/result-file.ts';
import { roadmapOf } from '../../../../src/optimize/report/roadmap-section.ts';
import { buildReport } from '../../../../src/optimize/report/write-report.ts';
import { sampleOptimisation } from '../../../support/sample-optimisation.ts';

const INPUT = sampleOptimisation();
const UNCHANGED = { ...INPUT, best: INPUT.baseline, speedup: null, counts: null, pareto: [], finalists: [] };

/** The report as text, with plain spaces and without links to measurements. */
function textOf(input: ReportInput): string {
  return buildReport(input)
    .body.source.replaceAll('\u00a0', ' ')
    .replace(/ ?\[(?:m\d+|\+\d+)\]\(#m\d+\)/g, '');
}

/** Everything before the first folded chapter. */
function frontOf(input: ReportInput): string {
  return textOf(input).split('<details>')[0]!;
}

function chapter(input: ReportInput, title: string): string {
  return textOf(input).split(`<summary>${title}</summary>`)[1]!.split('\n</details>\n\n<details>\n<summary>')[0]!;
}

function withTrial(id: string, change: Partial<ReportTrial>): ReportInput {
  const measurements = INPUT.measurements.map((record) =>
    record.id === id ? { ...record, result: { ...(record.result as ReportTrial), ...change } } : record,
  );
  return { ...INPUT, measurements };
}

function outcomeOf(change: Partial<ReportInput>): string {
  return findingsOf({ ...INPUT, ...change }).outcome;
}

const SPEEDUP = INPUT.speedup!;
const HELD_OUT = INPUT.quality.heldOut!;
const [PASSED, ...OTHERS] = INPUT.finalists;
const [GATE, ...COUNTS] = INPUT.counts!.counts as [CountComparison, ...CountComparison[]];
const OTHER_COUNTS = { ...INPUT.counts!, counts: [{ ...GATE, candidate: [19, 22], difference: 9 }, ...COUNTS] };

describe('the verdict', () => {
  it('is the ratio of runs that took turns, not of two runs an hour apart', () => {
    // The long runs say 243 / 19.4 = 12.5.
    expect(frontOf(INPUT)).toContain('# 12.1 times as fast at no proven loss');
    expect(frontOf(INPUT)).toContain('**×12.1**, 95 % interval 11.8 to 12.4, from 5 pairs of runs that took turns');
    expect(frontOf(INPUT)).toContain('| frames per second | 19.9 | 241 | **×12.1** (11.8 to 12.4) |');
    expect(textOf(INPUT)).not.toContain('12.5');
    expect(textOf(INPUT)).not.toContain('beyond each alone');
  });

  it('of a machine that was not its own is "measurement invalid", whatever was found', () => {
    const validity = { isValid: false, reasons: ['Others took the CPU in 14 of 20 windows of m001.'] };
    for (const input of [INPUT, UNCHANGED]) {
      const text = textOf({ ...input, validity });
      expect(text.split('\n')[0]).toBe('# Measurement invalid');
      expect(text).toContain('14 of 20 windows');
      expect(text).not.toMatch(/best\.yaml|Roadmap|Nothing that was tried|×/);
    }
  });

  it('of a machine that was not its own still says why the gate refused a configuration', () => {
    const refusals = [{ ...INPUT.refusals[0]!, reason: 'it loses 0.3 of the class bus' }];
    const finalists = [{ ...PASSED!, verdict: 'refused' as const, reason: 'it loses 0.04 on the held-out part' }];
    const text = textOf({ ...INPUT, refusals, finalists, validity: { isValid: false, reasons: [] } });
    expect(text).toContain('it loses 0.3 of the class bus');
    expect(text).toContain('it loses 0.04 on the held-out part');
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
    expect(buildReport({ ...INPUT, ...change }).tone === 'good').toBe(outcome === 'faster');
  });

  it('needs no held-out part where no change may alter what is detected', () => {
    const threads = { ...INPUT.baseline.configuration, inferenceThreads: 2 };
    const best = { ...INPUT.best, configuration: threads };
    expect(outcomeOf({ best, finalists: [], quality: { search: null, heldOut: null } })).toBe('faster');
  });

  it('says a loss within the allowance, and a refusal', () => {
    const heldOut = { ...HELD_OUT, candidate: 0.32, loss: 0.0135, interval: [0.001, 0.019] as const };
    expect(frontOf({ ...INPUT, quality: { search: null, heldOut } })).toContain('for a loss within the allowed 0.020');
    const finalists = [{ ...PASSED!, verdict: 'refused' as const, reason: 'it loses 0.04' }];
    const text = frontOf({ ...INPUT, finalists });
    expect(text).toContain('# 12.1 times as fast, but the quality is refused');
    expect(text).toContain('it loses 0.04. Do not use it');
  });
});

describe('the first page', () => {
  it('has what changes in the counts, what best.yaml changes and what to do', () => {
    const text = frontOf(INPUT);
    expect(text).toContain('| line gate | 26 + 31 | 26 + 30 | ± 3.10 | within |');
    expect(text).toContain('Another detector finds other objects.');
    expect(text).toContain('`report/best.yaml` changes: model `centernet` → `yolox-nano`; engine `onnx` → `openvino`');
    expect(text).toContain('`sightline run report/best.yaml`');
    expect(text).toContain('| target `p99<=50ms` | 154 ms **missed** | 21.9 ms **met** |');
  });

  it('warns of a class that lost much, with how little it was judged by, also where that proves nothing', () => {
    expect(frontOf(INPUT)).toContain(
      'Look first: class **microwave** −0.570 on 3 pictures with 3 objects, 95 % interval −0.900 to +0.100',
    );
    expect(frontOf(INPUT)).not.toContain('backpack');
  });

  it('gives what is faster beside what is proven, with each point that people have to look at', () => {
    const faster = {
      configuration: INPUT.best.configuration,
      file: 'report/faster.yaml',
      review: 'review.html',
      ap: 0.378,
      speedup: { ratio: 21.5, interval: [21, 22] as const },
      differences: [
        { kind: 'class' as const, subject: 'handbag', text: "handbag: today's detector reports 121, this one none" },
      ],
      measurements: SPEEDUP.measurements,
    };
    const both = frontOf({ ...INPUT, faster });
    expect(both.split('\n')[0]).toBe('# 12.1 times as fast at no proven loss');
    expect(both).toContain('| proven | ×12.1 |');
    expect(both).toMatch(/\| faster, if you accept \| ×21.5 \| \d+ \| 0.378 \| `report\/faster.yaml` \|/);
    expect(both).toContain("handbag: today's detector reports 121, this one none");
    expect(both).toContain('](review.html)');
    expect(frontOf({ ...INPUT, faster: { ...faster, review: null } })).not.toContain('review.html');
    const alone = frontOf({ ...UNCHANGED, faster });
    expect(alone.split('\n')[0]).toBe('# 21.5 times as fast; look at 1 difference first');
    expect(alone).not.toContain('| proven |');
    expect(resultOf({ ...INPUT, faster })).toMatchObject({
      faster: { ap: 0.378, file: 'report/faster.yaml' },
      // A roll-out asks how many pictures there were.
      quality: { pictures: 75 },
    });
  });

  it('asks for consent where counts differ', () => {
    const text = frontOf({ ...INPUT, counts: OTHER_COUNTS });
    expect(text).toContain('# 12.1 times as fast, but your counts change');
    expect(text).toContain('| line gate | 26 + 31 | 19 + 22 | ± 3.10 | **differs** |');
    expect(text).toContain('1 count of 3 differs; look at the pictures first, then accept them with `--accept-counts`');
  });

  it('has prices of a camera before and after', () => {
    // 7 cameras less a fifth are 5: 20 hosts and a spare at 48 for 100 cameras. Before, no host takes one.
    expect(frontOf(INPUT)).toContain('| a camera a month, of 100 | not possible | 10.08 EUR |');
  });

  it('where nothing was found, has no chapter about it and nothing of best.yaml', () => {
    const text = textOf(UNCHANGED);
    expect(text.split('\n')[0]).toMatch(/^# Nothing here is faster: limited by .*, at most [\d.]+ times$/);
    expect(frontOf(UNCHANGED)).not.toMatch(/best\.yaml|counts|×12/);
    expect(text).not.toMatch(/<summary>(From the old rate|Quality)/);
  });
});

describe('the chapters', () => {
  it('show the stages live first, with their cameras, and the file read flat out folded and explained', () => {
    const text = chapter(INPUT, 'Where the time of a frame goes');
    const [live, offline] = text.split('<summary>The file read as fast as it can be</summary>');
    expect(live).toContain('|  | before: 1 camera of 30 frames/s | after: 7 cameras of 30 frames/s |');
    expect(live).toContain('| of the mean: wait | 88 ms | 6.40 ms |');
    expect(offline).toContain('not what a camera sees');
    const none = { ...INPUT, liveStages: { before: null, after: null } };
    expect(chapter(none, 'Where the time of a frame goes')).toContain('What a camera sees is therefore not known');
  });

  it('show faults per million frames, GPU and energy only where they were counted', () => {
    const text = chapter(INPUT, 'Where the time of a frame goes');
    // 187 of 540.
    expect(text).toContain('| dropped (queue-full) per million frames | 346,296 | 0 |');
    expect(text).not.toMatch(/GPU|energy/);
    const live = INPUT.liveStages.after!.measurement;
    const faults = { frames: 2e6, decodeErrors: 3, failedInferences: 0, reconnects: 1, dropped: {} };
    const more = chapter(
      withTrial(live, {
        faults,
        gpus: [
          {
            ...{ index: 0, name: 'GPU', busyRatio: 0.4, decoderRatio: 0.25, memoryUsedBytes: null },
            ...{ memoryTotalBytes: null, powerW: null, temperatureC: null },
          },
        ],
        energy: { cpuJoules: 0.15, gpuJoules: 0.06 },
      }),
      'Where the time of a frame goes',
    );
    expect(more).toContain('| decode errors per million frames | 0 | 1.50 |');
    expect(more).toContain('| GPU in use | – | 40 % |');
    expect(more).toContain('| video decoder of the GPU in use | – | 25 % |');
    expect(more).toContain('| energy a frame | – | 0.21 J |');
  });

  it('show only adopted steps in the way from the old rate to the new one, each with the rates of both sides in turn', () => {
    const text = chapter(INPUT, 'From the old rate to the new one');
    expect(text).toContain(
      '| model: centernet to yolox-nano | ×2.94 | ×2.71 | 2.67 to 2.76 | 100 frames/s to 271 frames/s |',
    );
    expect(text).not.toContain('picodet');
  });

  it('show what chose and what judged, with finalists and slices', () => {
    const text = chapter(INPUT, 'Quality');
    expect(text).toContain(
      '| search: the part that chose, AP | 25 | 0.330 | 0.334 | −0.004 | −0.015 to 0.008 (95 %) | 0.020 |',
    );
    expect(text).toContain('| held out: seen once, by 3 finalists, AP | 75 | 0.334 | 0.337 |');
    expect(text).toContain('(98 %)');
    expect(text).toContain('| **inconclusive** | 75 pictures do not decide');
    expect(text).toContain('| tag night | −0.009 | −0.050 to +0.030 | 19 | – |');
    const search = chapter({ ...INPUT, quality: { ...INPUT.quality, heldOut: null } }, 'Quality');
    expect(search).toContain('Nothing was held out');
  });

  it('count what the gate refused apart from what it could not decide', () => {
    const [one] = INPUT.refusals;
    const refusals = [one!, { ...one!, verdict: 'refused' as const }, { ...one!, verdict: 'inconclusive' as const }];
    expect(textOf({ ...INPUT, refusals })).toContain('Not passed by the gate: 2 refused, 1 inconclusive');
    expect(textOf({ ...INPUT, refusals: [one!] })).toContain('Not passed by the gate: 1 refused<');
  });

  it('list a change that the gate could not decide among those that were tried', () => {
    const [first] = INPUT.steps;
    const undecided = { measuredGain: null, interval: null, apLoss: 0.01, isTaken: false } as const;
    const steps = [{ ...first!, ...undecided, verdict: 'inconclusive' as const, reason: '24 pictures are too few' }];
    const text = textOf({ ...INPUT, steps });
    expect(text).toContain('| **inconclusive** | 24 pictures are too few |');
    expect(text).not.toContain('Not run, because they could not win');
  });

  it('state the error of predictions only for predicted effects above 5 %', () => {
    const [first] = INPUT.steps;
    const step = (predictedGain: number, measuredGain: number) => ({ ...first!, predictedGain, measuredGain });
    const steps = [step(1.2, 1), step(1.5, 1.25), step(1.01, 1.3), step(1, 1), step(0.99, 1.02)];
    const text = chapter({ ...INPUT, steps }, 'Bottlenecks and predictions');
    // Both are 20 % off; the three others were predicted to do nothing.
    expect(text).toContain(
      'Over 2 changes with a predicted effect above 5 %, the median error of the predictions is 20 %',
    );
    expect(text).toContain(
      '3 changes were predicted to change nothing; the largest surprise is engine: onnx to openvino, ×1.30',
    );
  });

  it('compare a bottleneck only with a change that does what its remedy assumes', () => {
    const text = chapter(INPUT, 'Bottlenecks and predictions');
    expect(text).toContain('| ×1.36 | ×1.27, 7.1 % off |');
    expect(text).toContain('| ×1.12 | not compared |');
  });

  it('say of caching, tiles, region and INT8 that they were tried, or why not', () => {
    const text = chapter(INPUT, 'Everything that was tried, and what was not');
    expect(text).toMatch(/\| INT8 \| tried \|/);
    for (const name of ['caching of results', 'tiles', 'region'])
      expect(text).toMatch(new RegExp(`\\| ${name} \\| not tried \\| \\w`));
  });

  it('plan hosts and prices for 10, 100 and 1,000 cameras, with headroom', () => {
    const text = chapter(INPUT, 'Hosts and prices');
    expect(text).toContain('| 1,000 | not possible | 200 and 1 spare | – | 9.65 EUR |');
    expect(text).toContain('capacityFps: 210');
    const larger = { ...INPUT, best: { ...INPUT.best, capacity: { ...INPUT.best.capacity!, cameras: 20 } } };
    // 20 cameras less a fifth are 16 a host.
    expect(chapter(larger, 'Hosts and prices')).toContain('| 100 | not possible | 7 and 1 spare |');
  });
});

describe('the roadmap', () => {
  it('is one list by gain times confidence over effort, with rate and cameras after each row', () => {
    const rows = roadmapOf(findingsOf(INPUT));
    expect(rows.map(({ gain }) => gain?.toFixed(2) ?? null)).toEqual(['12.10', '1.09', '1.20', '1.42', null]);
    // As measured in turn, and times 1.09.
    expect(rows[0]!.fpsAfter).toBe(241);
    expect(rows[1]!.fpsAfter).toBeCloseTo(262.7, 1);
    expect(rows.map(({ camerasAfter }) => camerasAfter)).toEqual([7, 7, 9, 13, 13]);
    for (const { risk, needs } of rows) expect([risk, needs].join('')).not.toBe('');
  });

  it('has nothing that only measures again, and no remedy whose lever was tried', () => {
    const text = chapter(INPUT, 'Roadmap');
    expect(text).not.toMatch(/measure again|longer|faster engine/i);
    expect(text).toContain('A hardware decoder');
  });

  it('does not tell anybody to adopt what is not proven, and builds on what runs today', () => {
    const refused = [{ ...PASSED!, verdict: 'refused' as const }];
    for (const change of [{ speedup: null }, { finalists: refused }, { best: INPUT.baseline }]) {
      const rows = roadmapOf(findingsOf({ ...INPUT, finalists: [PASSED!], ...change }));
      expect(rows.map(({ what }) => what.source).join()).not.toMatch(/best\.yaml|yolox-nano/);
      // The remedy for decoding gains 1.12 from the baseline, and 1.09 from the best.
      expect(rows[0]).toMatchObject({ gain: 1.12, camerasAfter: 0 });
    }
  });

  it('asks for evidence where the best was not judged, and only for the fastest of several', () => {
    const [open] = roadmapOf(findingsOf({ ...INPUT, finalists: [], quality: { ...INPUT.quality, heldOut: null } }));
    expect(open!.what.source).toContain('Settle the quality of yolox-nano 480x256');
    // 241 of 19.9 frames/s.
    expect(open!.gain).toBeCloseTo(12.1, 1);
    const two = [{ ...OTHERS[0]!, fps: 300 }, ...INPUT.finalists];
    const settled = roadmapOf(findingsOf({ ...INPUT, finalists: two })).filter(({ what }) =>
      /Settle/.test(what.source),
    );
    expect(settled.map(({ gain }) => gain)).toEqual([300 / 241]);
  });

  it('puts the best configuration first, since the others build on it, however little it gains', () => {
    const speedup = { ...SPEEDUP, ratio: 1.01, interval: [1.005, 1.02] as const };
    expect(roadmapOf(findingsOf({ ...INPUT, speedup }))[0]!.what.source).toContain('best.yaml');
  });
});

describe('every figure names its measurement', () => {
  it('a name that does not exist is refused, wherever it is', () => {
    const [first, ...others] = INPUT.steps;
    const steps = [{ ...first!, measurements: ['m999'] }, ...others];
    expect(() => buildReport({ ...INPUT, steps })).toThrow(
      'names measurement m999, which is not among the measurements',
    );
    const liveStages = { ...INPUT.liveStages, after: { ...INPUT.liveStages.after!, measurement: 'm998' } };
    expect(() => buildReport({ ...INPUT, liveStages })).toThrow('m998');
  });

  it('a side without a trial is refused', () => {
    const quality = INPUT.measurements.find(({ kind }) => kind === 'quality')!.id;
    expect(() => buildReport({ ...INPUT, best: { ...INPUT.best, measurement: quality } })).toThrow('is not a trial');
  });

  it('and every link leads to a row', () => {
    const source = buildReport(INPUT).body.source;
    const ids = new Set([...source.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id));
    const links = [...source.matchAll(/\]\(#([^)]+)\)/g)].map(([, id]) => id!);
    expect(links.length).toBeGreaterThan(50);
    expect(links.filter((id) => !ids.has(id))).toEqual([]);
  });
});

describe('a report with little to show', () => {
  it('says what is missing and invents nothing', () => {
    const bare = withTrial(INPUT.best.measurement, { cpuMsPerFrame: null, latenciesMs: null });
    const text = textOf({
      ...bare,
      ...{ quality: { search: null, heldOut: null }, refusals: [], finalists: [], counts: null, pareto: [] },
      ...{
        liveStages: { before: null, after: null },
        nextBottlenecks: [],
        bottlenecks: [],
        techniques: [],
        baselineDrift: [],
      },
      baseline: { ...bare.baseline, capacity: null, targets: [] },
      best: { ...bare.best, capacity: null, targets: [] },
      options: { ...bare.options, hostPrice: null, target: null, annotations: null, images: null },
    });
    expect(text).toContain('Quality was not judged');
    expect(text).toContain('With `--host-price` the table shows what a camera costs');
    expect(text).toContain('predicted from the rate, not measured');
    expect(text).not.toMatch(/NaN|undefined|Infinity|null|\[object/);
  });
});
