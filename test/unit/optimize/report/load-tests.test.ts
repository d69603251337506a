import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeLoadReport } from '../../../../src/loadtest/load-report.ts';
import type { LoadResult } from '../../../../src/loadtest/load-result.ts';
import { LOAD_TESTS, readLoadTests } from '../../../../src/optimize/report/load-tests.ts';
import { buildReport } from '../../../../src/optimize/report/write-report.ts';
import { temporaryFolder } from '../../../support/cli.ts';
import { sampleLoad } from '../../../support/sample-load.ts';
import { sampleOptimisation } from '../../../support/sample-optimisation.ts';

describe('load tests in the report of an optimisation', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let notes: string[];

  beforeEach(() => {
    folder = temporaryFolder();
    notes = [];
  });
  afterEach(() => folder.remove());

  const write = (name: string, result: LoadResult): Promise<unknown> =>
    writeLoadReport(join(folder.path, LOAD_TESTS, name), result);
  const read = () => readLoadTests(folder.path, (text) => notes.push(text));
  const text = async (): Promise<string> => {
    const { source } = buildReport({ ...sampleOptimisation(), loadTests: await read() }).body;
    return source.split('<summary>Validation</summary>')[1]!.split('<summary>')[0]!.replaceAll('\u00a0', ' ');
  };

  it('are commands first, with the cameras and targets of the measured capacity', async () => {
    expect(await text()).toContain(
      'sightline loadtest report/best.yaml --profile stress --cameras 5 --camera-fps 30 --camera-size 1280x720' +
        " --target 'p99<=50ms' --report report/load-tests/stress",
    );
    expect(await text()).toContain('None has been run yet.');
  });

  it('and once they ran, verdicts; the break point stands beside the number of cameras that was predicted', async () => {
    await write('stress', sampleLoad({ createdAt: '2026-01-03T00:00:00.000Z' }));
    const slopes = [
      { figure: 'rssBytes', mean: 3e8, perHour: 1e9, interval: [9e8, 2e9], allowedPerHour: 1e7, verdict: 'grows' },
    ] as const;
    const endurance = { profile: 'endurance', createdAt: '2026-01-04T00:00:00.000Z', breakPoint: null } as const;
    await write('endurance', sampleLoad({ ...endurance, verdict: 'missed', slopes }));
    const shown = await text();
    expect(shown).not.toContain('None has been run yet.');
    // 7 cameras of 30 frames/s were predicted; those of the load test send 25, so as many pictures are 8.4 of them.
    expect(shown).toContain(
      '6 cameras meet the targets, 7 do not; first to give way: infer; recovered within 1.50 s; this run predicted 8 (−29 % off)',
    );
    expect(shown).toMatch(/endurance.*missed.*rssBytes grows/);
    expect(notes).toEqual([]);
  });

  it('a number of cameras that was not proven is called so, and one camera meets', async () => {
    const breakPoint = { ...sampleLoad().breakPoint!, cameras: 1, brokenAt: null };
    await write('short', sampleLoad({ breakPoint: { ...breakPoint, isProven: false } }));
    expect(await text()).toContain('1 camera missed no target, but it is not proven that it meets all');
    await write('short', sampleLoad({ breakPoint: { ...breakPoint, isProven: true } }));
    expect(await text()).toContain('1 camera meets the targets');
  });

  it('one that is damaged is left out with a notice that names it', async () => {
    await write('stress', sampleLoad());
    for (const [name, content] of [
      ['cut', '{"profile": "peak", "ver'],
      ['other', '{"profile": "peak"}'],
    ]) {
      mkdirSync(join(folder.path, LOAD_TESTS, name!));
      writeFileSync(join(folder.path, LOAD_TESTS, name!, 'loadtest.json'), content!);
    }
    mkdirSync(join(folder.path, LOAD_TESTS, 'empty'));
    expect(await read()).toHaveLength(1);
    expect(notes).toHaveLength(3);
    expect(notes.join('\n')).toMatch(/empty.*no such file|ENOENT/);
  });
});
