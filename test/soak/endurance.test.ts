import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type LoadResult, SLOPE_FIGURES } from '../../src/lab/loadtest/load-result.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { hasProc } from '../support/processes.ts';

/** The checks of a run of hours in two minutes: large leaks, and cameras that leave, freeze and return all the time. */
const MINUTES = 2;

describe('an endurance run of two minutes', () => {
  const folder = temporaryFolder();
  afterAll(() => folder.remove());

  it('descriptors, threads and handles do not grow, no frame is missing, and every figure has its slope', async () => {
    const pipeline = join(folder.path, 'soak.yaml');
    const model = { engine: 'fake', inputSize: '160x96', threads: 1, fake: { callMs: 4 } };
    const streams = [{ id: 'a', source: 'synthetic:testsrc2', track: true }];
    const text = { name: 'soak', description: 'Cameras that come and go.', model, lanes: 2, streams };
    writeFileSync(pipeline, JSON.stringify(text));
    const flags = ['--profile', 'endurance', '--cameras', '8', '--minutes', String(MINUTES), '--camera-fps', '5'];
    const size = ['--camera-size', '160x96', '--target', 'p50<=1s,drops<=20%', '--json'];
    const { stdout, stderr } = await cli(['loadtest', pipeline, ...flags, ...size]);
    const { slopes, steps, targets } = JSON.parse(stdout) as LoadResult;
    const said = `${JSON.stringify(slopes)} ${stderr}`;
    expect(steps[0]!.conservationGap).toBe(0);
    expect(
      targets.map(({ state }) => state),
      said,
    ).toEqual(['met', 'met']);
    if (hasProc) expect(slopes.map(({ figure }) => figure)).toEqual(SLOPE_FIGURES);
    const growing = slopes.filter(({ verdict }) => verdict === 'grows').map(({ figure }) => figure);
    // Latency belongs to the machine, which other tests use at the same time.
    expect(
      growing.filter((figure) => figure !== 'p99Ms'),
      said,
    ).toEqual([]);
  }, 300_000);
});
