import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { TrialResult } from '../../../../../src/lab/measure/trial-result.ts';
import { findingsOf } from '../../../../../src/lab/optimize/report/findings.ts';
import { firstScreenOf } from '../../../../../src/lab/optimize/report/first-screen.ts';
import type { ReportCounts, ReportInput } from '../../../../../src/lab/optimize/report/report-input.ts';
import type { Configuration, Step } from '../../../../../src/lab/optimize/result.ts';
import type { LoggedRecord } from '../../../../../src/lab/optimize/run/pipeline-evaluator.ts';
import { type Finished, reportOf, techniquesOf } from '../../../../../src/lab/optimize/run/report-of.ts';
import { sampleOptimisation } from '../../../../support/sample-optimisation.ts';
import { BASELINE, BEST } from '../../../../support/sample-steps.ts';
import { sampleTrial } from '../../../../support/sample-trial.ts';

const folder = mkdtempSync(join(tmpdir(), 'report-of-'));
afterAll(() => rmSync(folder, { recursive: true }));

const SAMPLE = sampleOptimisation();
const MACHINE = { ...SAMPLE.machine, system: 'linux', gpus: [] };

function trial(fps: number, inferMs: number, change: Partial<TrialResult> = {}): TrialResult {
  const sketch = { fps, seconds: 10, stagesMs: { infer: inferMs }, busy: [0.1, 0.1, 0.95, 0.05], rssMb: 300 } as const;
  const base = sampleTrial({ ...sketch, cpuMs: [2, 1, inferMs, 1] }, 3);
  return {
    ...base,
    perStream: [],
    isDisturbed: false,
    faults: { frames: 1, decodeErrors: 0, failedInferences: 0, reconnects: 0, dropped: {} },
    scenario: 'offline',
    streams: 1,
    streamFps: [fps],
    seconds: 10,
    windows: [],
    inFlight: 2,
    sendMs: 0,
    heldBackRatio: 0.8,
    eventLoopP99Ms: 1,
    queueGrowthPerS: 0,
    cores: 2,
    childRssBytes: 1,
    targets: [],
    servers: { decode: 1, preprocess: 1, infer: 1, main: 1 },
    machine: base.machine!,
    batch: {} as TrialResult['batch'],
    device: { device: 'CPU', provider: 'cpu' } as TrialResult['device'],
    ...change,
  };
}

function record(
  id: string,
  kind: LoggedRecord['kind'],
  configuration: Configuration,
  scenario: string,
  result: object,
): LoggedRecord {
  const facts = {
    configHash: id,
    modelHash: null,
    startedAt: SAMPLE.createdAt,
    seconds: 5,
    machine: MACHINE,
    dependsOn: {},
  };
  return { ...facts, id, kind, configuration, scenario, result, error: null };
}

const HALVED: Step = {
  lever: 'engine',
  from: 'onnx',
  to: 'openvino (precision bf16)',
  predictedGain: 1.9,
  measuredGain: 1.7,
  interval: [1.6, 1.8],
  apLoss: 0,
  verdict: 'better',
  isTaken: true,
  reason: '',
  measurements: ['m003'],
  beside: [19, 33],
};
const SPEEDUP = { ratio: 12, interval: [11.8, 12.2], measurements: ['m004'] } as const;

/** An optimisation that compared 20 with 240 frames/s in turn, while two long runs an hour apart say 19 and 260. */
function recordsOf(inferMs = 26, before: Partial<TrialResult> = {}): LoggedRecord[] {
  return [
    record('m001', 'confirm', BASELINE, 'offline, long', trial(19, 50, before)),
    record('m002', 'confirm', BEST, 'offline, long', trial(260, 4)),
    record('m003', 'pair', { ...BASELINE, engine: 'openvino' }, 'offline', {
      a: [trial(19, 50), trial(19, 50)],
      b: [trial(33, inferMs), trial(33, inferMs)],
    }),
    record('m004', 'confirm', BEST, 'offline', { ratio: 12, before: [19.8, 20, 20.3], after: [239, 240, 244] }),
  ];
}

function finished(records: readonly LoggedRecord[] = recordsOf(), step: Step = HALVED): ReportInput {
  const capacity = { cameras: 7, cameraFps: 30, p99Ms: 46, target: 'p99<=50ms', isProven: true, measurements: [] };
  return reportOf({
    subject: 'x.yaml',
    createdAt: SAMPLE.createdAt,
    seed: 1,
    faster: null,
    machine: MACHINE,
    byCpuTime: false,
    isOnGpu: false,
    acceptsCounts: false,
    whyNotFewer: null,
    found: {
      speedup: SPEEDUP,
      steps: [step],
      refused: [],
      pareto: [],
      finalists: [],
    } as unknown as Finished['found'],
    baseline: { configuration: BASELINE, measurement: 'm001', targets: [], capacity: null },
    best: { configuration: BEST, measurement: 'm002', targets: [], capacity },
    records,
    inferTimes: { oneThreadMs: 50, allThreadsMs: 55 },
    whyNoInt8: 'no pictures',
    options: { ...SAMPLE.options, reportDir: folder },
  });
}

describe('the end of an optimisation as the input of its report', () => {
  it('takes ratio, pairs and rates from the runs that took turns', async () => {
    const { speedup } = finished();
    expect(speedup).toMatchObject({ ratio: 12, interval: [11.8, 12.2], pairs: 3, beforeFps: 20, afterFps: 240 });
  });

  it('counts the turns of pairs where there was no time for a comparison', async () => {
    const pair = record('m004', 'pair', BEST, 'offline, beside another', { a: [], b: [] });
    const { speedup } = finished([...recordsOf().filter(({ id }) => id !== 'm004'), pair]);
    expect(speedup).toMatchObject({ ratio: 12, pairs: 2, beforeFps: null, afterFps: null });
  });

  it('makes a report that recommends nothing without a held-out part', async () => {
    const report = firstScreenOf(findingsOf(finished()));
    expect(report.headline).toBe('12 times as fast, but the quality is not proven');
    expect(report.tone).toBe('neutral');
  });

  it('compares a bottleneck only with the change that halves the time for inference', async () => {
    const gainOf = async (inferMs: number, step: Partial<Step> = {}): Promise<number | null> => {
      const { bottlenecks } = finished(recordsOf(inferMs), { ...HALVED, ...step });
      return bottlenecks.find(({ lever }) => lever === 'engine')!.measuredGain;
    };
    expect(await gainOf(26)).toBe(1.7);
    // A tenth of the time is not half of it, and neither is nearly all.
    expect(await gainOf(5)).toBeNull();
    expect(await gainOf(48)).toBeNull();
    // Something else changed along with it.
    expect(await gainOf(26, { to: 'openvino (precision bf16, resizeBy ffmpeg)' })).toBeNull();
    expect(await gainOf(26, { measuredGain: null })).toBeNull();
  });

  it('is invalid where others had the CPU in more than a quarter of all windows', async () => {
    const windows = (disturbed: number) =>
      Array.from({ length: 20 }, (_, i) => ({
        isDiscarded: i < disturbed,
        machine: { otherRatio: 0.6, stealRatio: 0 },
      })) as unknown as TrialResult['windows'];
    const { validity } = finished(recordsOf(26, { windows: windows(6) }));
    expect(validity.isValid).toBe(false);
    expect(validity.reasons.join(' ')).toContain('30 % of 20 windows');
    expect(validity.reasons.join(' ')).toContain('other processes used 60 % of the CPU');
    expect(finished(recordsOf(26, { windows: windows(5) })).validity.isValid).toBe(true);
  });

  it('shows the live run with as many cameras as the configuration serves, and no failed one', async () => {
    const { liveStages } = finished([
      ...recordsOf(),
      record('m005', 'capacity', BEST, 'cameras x7 at 30 fps', trial(210, 4, { streams: 7 })),
      record('m006', 'capacity', BEST, 'cameras x8 at 30 fps', trial(220, 4, { streams: 8 })),
      { ...record('m007', 'capacity', BASELINE, 'cameras x1 at 30 fps', {}), result: null, error: 'broken' },
    ]);
    expect(liveStages).toEqual({ before: null, after: { cameras: 7, cameraFps: 30, measurement: 'm005' } });
  });

  it('shows the counts and tracks of a judged video', async () => {
    const count = { kind: 'line', id: 'gate', reference: [26, 31], candidate: [17, 18], difference: 13, allowed: 3.1 };
    const countsOf = async (counts: readonly object[]): Promise<ReportCounts | null> => {
      const tracks = { tracks: 20, kept: 17 };
      const judgement = { verdict: 'passed', labels: null, video: { video: { counts, tracks } }, skips: null };
      return finished([...recordsOf(), record('m005', 'verdict', BEST, 'held out', judgement)]).counts;
    };
    const judged = await countsOf([count, { ...count, difference: 1 }]);
    expect(judged).toEqual({
      counts: [count, { ...count, difference: 1 }],
      tracks: [{ tracks: 20, kept: 17 }],
      isOtherDetector: true,
      isAccepted: false,
    });
    expect((await countsOf([]))!.tracks).toHaveLength(1);
    expect(finished().counts).toBeNull();
  });
});

describe('techniques', () => {
  it('are tried with their outcome, or not tried with the reason', () => {
    const int8: Step = { ...HALVED, lever: 'precision', from: 'f32', to: 'int8', isTaken: false, reason: 'loses 0.03' };
    const int8Of = (...steps: Step[]) => techniquesOf(steps, 'no pictures').find(({ name }) => name === 'INT8');
    expect(int8Of(int8)).toMatchObject({
      state: 'tried',
      reason: 'not taken: 1.70 times the rate, loses 0.03',
      measurements: ['m003'],
    });
    expect(int8Of()).toMatchObject({ state: 'not tried', reason: 'no pictures' });
    const less = { ...int8, lever: 'decode', from: 'all', to: 'key' } as const;
    const named = (name: string) => techniquesOf([less], null, null).find((technique) => technique.name === name);
    expect(named('decoding fewer frames')).toMatchObject({ state: 'tried', measurements: ['m003'] });
    expect(named('skipping inference')).toMatchObject({ state: 'not tried' });
    expect(techniquesOf([], null, 'all frames are key frames')).toContainEqual(
      expect.objectContaining({ name: 'decoding fewer frames', reason: 'all frames are key frames' }),
    );
    // From INT8 to something else is not INT8.
    expect(int8Of({ ...int8, from: 'int8', to: 'bf16' })).toMatchObject({ state: 'not tried' });
  });
});
