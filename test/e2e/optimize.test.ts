import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadPipeline } from '../../src/config/load-pipeline.ts';
import { writeReport } from '../../src/optimize/report/write-report.ts';
import type { Optimization } from '../../src/optimize/run/run-optimization.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { sampleOptimisation } from '../support/sample-optimisation.ts';
import { sharedDir } from '../support/shared.ts';

interface Logged {
  readonly id: string;
  readonly kind: string;
  readonly startedAt: string;
  readonly modelHash: string | null;
}

describe('sightline optimize', () => {
  const temporary = temporaryFolder();
  const videos = new VideoFolder();
  const report = join(temporary.path, 'report');
  const log = (): Logged[] =>
    readFileSync(join(report, 'measurements.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Logged);
  let clip: string;

  beforeAll(async () => {
    clip = await videos.make('clip.mp4', { frames: 120, fps: 25 });
  });

  afterAll(() => {
    temporary.remove();
    videos.remove();
  });

  it.each([
    [['--budget', '20 minutes'], '--budget: expected a time from 60s to 24h, such as 20m, received "20 minutes"'],
    [['--budget', '5s'], '--budget: expected a time from 60s'],
    [['--max-loss', '2'], '--max-loss: expected a number from 0 to 1'],
    [['--levers', 'engine,magic'], '--levers: expected some of model, engine'],
    [['--target', 'p99>=50ms'], 'p99'],
    [['--annotations', 'a.json'], '--annotations and --images: expected both or neither'],
    [['--holdout-annotations', 'a.json'], '--holdout-annotations and --holdout-images: expected both or neither'],
    [['--report', '/proc/x'], '--report: expected a folder on a disk, received "/proc/x"'],
    [['--host-price', 'cheap'], '--host-price: expected an amount and a currency'],
    [['--candidates', '/nonexistent'], '--candidates /nonexistent: expected a folder with ONNX files or manifests'],
  ])('refuses %j', async (flags, message) => {
    const { code, stderr } = await cli(['optimize', clip, '--plan', ...flags]);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });

  it.each([
    [['--merge', 'a'], '--merge: expected at least two report folders'],
    [['--merge', 'a', 'b'], '--merge a: expected the report folder of "sightline optimize", with result.json'],
    [[], 'expected a pipeline file or a video, or --merge with report folders'],
  ])('refuses %j without a pipeline', async (flags, message) => {
    const { code, stderr } = await cli(['optimize', ...flags]);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });

  it('joins reports of several machine types into one choice', async () => {
    const folders = ['small', 'large'].map((name) => join(temporary.path, name));
    for (const [i, path] of folders.entries()) {
      const input = sampleOptimisation();
      const machine = { ...input.machine, cpuModel: `machine ${i}` };
      const options = { ...input.options, hostPrice: { amount: 100 - 60 * i, currency: 'EUR' } };
      await writeReport(path, { ...input, machine, options });
    }
    const out = join(temporary.path, 'choice');
    const { code, stdout, stderr } = await cli(['optimize', '--merge', ...folders, '--report', out]);
    expect(code, stderr).toBe(0);
    // 7 cameras less a fifth are 5: 40 for 5 of the second machine.
    expect(stdout.replaceAll('\u00a0', ' ')).toContain(
      `Use machine 1, 2 cores (${folders[1]}). The cheapest camera: 8.00 EUR a month`,
    );
    expect(existsSync(join(out, 'choice.html'))).toBe(true);
  });

  it('refuses a pipeline that reads a camera: the same pictures must come again', async () => {
    const { code, stderr } = await cli(['optimize', 'rtsp://127.0.0.1:1/camera', '--plan']);
    expect(stderr).toContain('optimize repeats the same pictures, so it needs a recording');
    expect(code).toBe(2);
  });

  it('plans without measuring', async () => {
    const { code, stdout } = await cli(['optimize', clip, '--plan', '--json', '--report', report]);
    expect(code).toBe(0);
    const plan = JSON.parse(stdout) as { steps: unknown[]; measurements: { kind: string }[]; seconds: number };
    expect(plan.steps.length).toBeGreaterThan(0);
    expect(plan.measurements.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['screen', 'pair', 'compare']));
    expect(existsSync(report)).toBe(false);
  });

  describe.skipIf(sharedDir === null)('on a machine with weights (../shared)', () => {
    const optimizeClip = (...flags: string[]) =>
      cli(
        [
          ...['optimize', clip, '--levers', 'inferenceThreads,maxBatch', '--budget', '60s', '--report', report],
          ...['--json', ...flags],
        ],
        { SIGHTLINE_MODEL_PATH: join(sharedDir!, 'models') },
      );

    it('writes a report, a pipeline that runs, and every measurement', async () => {
      const { code, stdout, stderr } = await optimizeClip();
      expect(code, stderr).toBe(0);
      const outcome = JSON.parse(stdout) as Optimization;
      const { baseline, best, measurements } = outcome;
      // These levers change no detection, so nothing can be refused and nothing needs a verdict.
      expect(outcome).toMatchObject({ refused: [], finalists: [], loss: null, counts: [] });
      const { model: before, engine, precision, inputSize } = baseline.configuration;
      expect(best.configuration).toMatchObject({ model: before, engine, precision, inputSize });
      const isChanged = best.configuration.inferenceThreads !== baseline.configuration.inferenceThreads;
      if (isChanged) expect(outcome.speedup!.interval[0]).toBeGreaterThan(1);
      for (const { verdict, isTaken, measuredGain, predictedGain } of outcome.steps) {
        expect(predictedGain).toBeGreaterThan(0);
        expect(measuredGain !== null).toBe(['better', 'worse', 'inconclusive'].includes(verdict));
        if (isTaken) expect(verdict).toBe('better');
      }
      expect(outcome.pareto[0]!.fps).toBeGreaterThan(0);
      expect(outcome.bottlenecks.length).toBeGreaterThan(0);
      expect(baseline.fps).toBeGreaterThan(0);
      expect(log()).toHaveLength(measurements);
      expect(log().some(({ kind, modelHash }) => kind === 'engine' && modelHash !== null)).toBe(true);
      const { model, batch } = loadPipeline(join(report, 'best.yaml'));
      expect({ name: model.name, threads: model.threads, maxBatch: batch.maxBatch }).toEqual({
        name: best.configuration.model,
        threads: best.configuration.inferenceThreads,
        maxBatch: best.configuration.maxBatch,
      });
      const html = readFileSync(join(report, 'report.html'), 'utf8');
      expect(html).toContain(`${best.measurement}`);
      expect(html).not.toMatch(/<script|https?:\/\/[^"]*\.(?:js|css|woff)/);
      expect(JSON.parse(readFileSync(join(report, 'pareto.json'), 'utf8'))).toMatchObject({ seed: 1 });
      const result = JSON.parse(readFileSync(join(report, 'result.json'), 'utf8'));
      expect(result).toMatchObject({ kind: 'sightline-optimize', version: 1, best: { fps: best.fps } });
    }, 300_000);

    it('repeats no measurement when it resumes', async () => {
      const before = log();
      const { code, stderr } = await optimizeClip('--resume', '--target', 'fps>=100000');
      expect(code, `3 because the target was not met: ${stderr}`).toBe(3);
      expect(log().slice(0, before.length)).toEqual(before);
      const repeated = log()
        .slice(before.length)
        .filter(({ kind }) => kind === 'engine' || kind === 'baseline' || kind === 'quality');
      expect(repeated).toEqual([]);
    }, 300_000);
  });
});
