import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  type AcceptanceFiles,
  type Ask,
  type Asked,
  accept,
  acceptanceSteps,
  acceptanceTable,
  notRun,
} from '../../../bench/support/acceptance.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-acceptance-'));
afterAll(() => rmSync(folder, { recursive: true }));

const FILES: AcceptanceFiles = {
  annotations: 'a.json',
  images: 'pictures',
  clip: 'clip.mp4',
  ffmpeg: '/usr/bin/ffmpeg',
};
const fine = (stdout: string): Asked => ({ code: 0, stdout, stderr: '' });

/** Answers as the programs do on a machine with a GPU. `takesMs` passes with each call. */
function machine(changes: (line: string) => Asked | null = () => null, takesMs = 1_000) {
  const asked: string[] = [];
  let now = 0;
  const results = join(folder, 'results.json');
  const dense = [
    { network: 'dense n', batchSize: 1, precision: 'f32', run: { fps: 400 } },
    { network: 'dense n', batchSize: 32, precision: 'f32', run: { fps: 1_000 } },
    { network: 'dense n', batchSize: 1, precision: 'f16', run: { fps: 500 } },
  ];
  writeFileSync(results, JSON.stringify({ sections: [{ result: { data: dense } }] }));
  const ask: Ask = async (program, args, limitMs) => {
    const line = [program, ...args].join(' ');
    asked.push(line);
    now += Math.min(takesMs, limitMs);
    const changed = changes(line);
    if (changed !== null) return changed;
    if (takesMs > limitMs) return { code: null, stdout: '', stderr: '' };
    if (line.includes('vitest')) return fine('{"numPassedTests":41,"numPendingTests":2}');
    if (line.includes(' eval '))
      return fine(`{"models":[{"figures":{"AP":${line.includes('f16') ? 0.3221 : 0.3249}}}]}`);
    if (line.includes('null -'))
      return fine(`fps=1.0\nframe=10\nfps=${line.includes('cuda') ? 900 : 300}\nprogress=end\n`);
    if (line.includes('gpu-run')) return fine(`a table [1]\n\nwritten: ${results}\n`);
    const [, count] = /--streams (\d+)/.exec(line) ?? [];
    const fps = Number(count) > 16 ? 12.5 : 25;
    return fine(JSON.stringify({ streams: [{ fps: 25 }, { fps }], latencyMs: { p99: 41.3 }, dropRatio: 0.002 }));
  };
  return {
    asked,
    run: (files = FILES, budgetMs = 600_000) =>
      accept(acceptanceSteps(files), { ask, nowMs: () => now, budgetMs, note: () => {} }),
  };
}

describe('the acceptance of a machine with a GPU', () => {
  it('sets up first, and makes the table of all that it measured', async () => {
    const { asked, run } = machine();
    const table = acceptanceTable(await run());
    expect(asked[0]).toMatch(/setup tensorflow --gpu$/);
    for (const line of [
      '| set-up of TensorFlow with CUDA | done | met |',
      '| conformance of engines | 41 passed, 2 skipped | met |',
      '| AP50-95, f32 and f16 | 0.325 and 0.322 | met |',
      '| NVDEC, frames stay on the GPU | 900 frames/s, software 300 |  |',
      '| dense n, batch 1, f32 and f16 | 400 and 500 (1.25 times) frames/s |  |',
      '| dense n, batch 32, f32 and f16 | 1000 and *not run* frames/s |  |',
      '| 16 streams in real time | 25.0 frames/s at least, p99 41 ms, 0.2 % dropped | met |',
      '| 64 streams in real time | 12.5 frames/s at least, p99 41 ms, 0.2 % dropped | **not met** |',
    ])
      expect(table.split('\n')).toContain(line);
    expect(table).not.toContain('failed');
  });

  it('marks what it had no files for as not run', async () => {
    const rows = await machine().run({ ...FILES, annotations: null, images: null, clip: null });
    const ofNone = rows.filter(({ figure }) => figure.startsWith('*not run*'));
    expect(ofNone.map(({ what, isMet }) => [what, isMet])).toEqual([
      ['AP50-95, f32 and f16', null],
      ['NVDEC', null],
    ]);
  });

  it('is not met where f16 costs more than 0.005 AP', async () => {
    const worse = machine((line) =>
      line.includes(' eval ') && line.includes('f16') ? fine('{"models":[{"figures":{"AP":0.31}}]}') : null,
    );
    const row = (await worse.run()).find(({ what }) => what.startsWith('AP'));
    expect(row).toMatchObject({ figure: '0.325 and 0.310', isMet: false });
  });

  it('goes on after a step that failed, with the last line of what it said', async () => {
    const { run } = machine((line) =>
      line.includes('vitest') ? { code: 1, stdout: '', stderr: 'a\n2 tests failed\n' } : null,
    );
    const rows = await run();
    expect(rows[1]).toEqual({ what: 'conformance of engines', figure: 'failed: 2 tests failed', isMet: false });
    expect(rows.at(-1)!.figure).toContain('frames/s');
  });

  it('runs nothing else if the set-up fails', async () => {
    const { asked, run } = machine((line) =>
      line.includes('setup') ? { code: 1, stdout: '', stderr: 'no compiler' } : null,
    );
    const [first, ...others] = await run();
    expect(first).toMatchObject({ figure: 'failed: no compiler', isMet: false });
    expect(new Set(others.map(({ figure }) => figure))).toEqual(new Set(['*not run*']));
    expect(asked).toHaveLength(1);
  });

  it('ends within its time: what takes too long, and what no time is left for, is not run', async () => {
    const slow = machine(undefined, 50_000);
    const rows = await slow.run(FILES, 150_000);
    expect(rows[0]!.figure).toBe('done');
    expect(rows.find(({ what }) => what.startsWith('1 stream'))!.figure).toBe('*not run*: no time was left');
    expect(slow.asked.length).toBeLessThan(6);
  });

  it('without a GPU names every step as not run', () => {
    const rows = notRun(acceptanceSteps(FILES));
    expect(rows.map(({ what }) => what)).toEqual(
      expect.arrayContaining(['NVDEC', '1 stream in real time', '64 streams in real time']),
    );
    expect(rows.every(({ figure }) => figure === '*not run*')).toBe(true);
  });
});
