import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Optimization } from '../../src/lab/optimize/run/run-optimization.ts';
import { loadPipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { sharedDir } from '../support/shared.ts';

interface Logged {
  readonly id: string;
  readonly kind: string;
  readonly startedAt: string;
  readonly modelHash: string | null;
}

describe.skipIf(sharedDir === null)('sightline optimize on a machine with weights (../shared)', () => {
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
