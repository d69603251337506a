import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RolloutReport } from '../../src/wire/protocol/rollout-records.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { PipelineProcess } from '../support/pipeline-process.ts';
import { BASELINE } from '../support/sample-steps.ts';
import { waitFor } from '../support/wait-for.ts';

const STREAMS = ['a', 'b', 'c', 'd'];
const FPS = 25;
/** Machines that run tests are busy, so the limits of these guards are wide. Each takes 32 blocks of about six seconds. */
const GUARDS = {
  p99: { margin: 10 },
  fps: { margin: 0.3 },
  drops: { margin: 0.3 },
};

/** Two boxes in every frame, in pixels of an input that is `scale` times 320x192: x, y, width, height, score, class. */
function rowsOf(scale: number): number[] {
  const boxes = [
    [20, 40, 60, 80, 0.9, 0],
    [160, 50, 90, 100, 0.8, 0],
  ];
  return boxes.flatMap(([x, y, width, height, score, classId]) => [
    ...[x!, y!, width!, height!].map((edge) => edge * scale),
    ...[score!, classId!],
  ]);
}

describe('sightline rollout start best.yaml', () => {
  let temporary: ReturnType<typeof temporaryFolder>;
  let videos: VideoFolder;
  let clip: string;
  let running: PipelineProcess;
  let url: string;

  beforeEach(async () => {
    temporary = temporaryFolder();
    videos = new VideoFolder();
    clip = await videos.make('clip.mp4', { frames: 20 * FPS, fps: FPS });
    mkdirSync(at('report'));
    writeFileSync(at('guards.yaml'), JSON.stringify(GUARDS));
    writeFileSync(at('people.yaml'), pipeline({ inputSize: '320x192', fake: { callMs: 2, rows: rowsOf(1) } }));
    running = new PipelineProcess(at('people.yaml'));
    await waitFor('the address', () => /live at (\S+)/.test(running.log));
    url = /live at (\S+)/.exec(running.log)![1]!;
    await waitFor('four running streams', () => running.log.includes('d is running'));
  });

  afterEach(async () => {
    await running.kill();
    temporary.remove();
    videos.remove();
  });

  const at = (name: string): string => join(temporary.path, name);
  const pipeline = (model: object, more: object = {}): string =>
    JSON.stringify({
      name: 'people',
      description: 'Paced files in place of cameras.',
      model: { engine: 'fake', threads: 1, ...model },
      lanes: 1,
      streams: STREAMS.map((id) => ({ id, source: clip, loop: true, realtime: true })),
      rollout: { folder: temporary.path },
      ...more,
    });
  const rollout = async (...args: string[]): Promise<RolloutReport> => {
    const { code, stdout, stderr } = await cli(['rollout', ...args, '--url', url, '--json']);
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout) as RolloutReport;
  };
  const get = async <T>(path: string): Promise<T> => (await (await fetch(`${url}${path}`)).json()) as T;

  /** Asks until the roll-out has ended; the shares that it had. */
  async function end(limitMs: number): Promise<{ readonly report: RolloutReport; readonly seen: Set<string> }> {
    const seen = new Set<string>();
    let report: RolloutReport | null = null;
    const isOver = async (): Promise<boolean> => {
      ({ rollout: report } = await get<{ rollout: RolloutReport }>('/api/rollouts'));
      seen.add(`${report.step} ${report.share}`);
      return !['running', 'holding'].includes(report.state);
    };
    await waitFor('the end', isOver, { deadlineMs: limitMs, everyMs: 250 }, () => JSON.stringify(report, null, 1));
    return { report: report!, seen };
  }

  it('with another input size and skipped frames is promoted, with the gain that live streams have', async () => {
    const best = at('report/best.yaml');
    const skip = { trackBetween: 2 };
    const small = { inputSize: '160x96', fake: { callMs: 2, rows: rowsOf(0.5) } };
    writeFileSync(best, pipeline(small, { lanes: 2, defaults: { skip } }));
    const configuration = { ...BASELINE, inputSize: '160x96', trackBetween: 2 };
    const speedup = { ratio: 2, interval: [1.8, 2.2] };
    writeFileSync(at('report/result.json'), JSON.stringify({ outcome: 'faster', speedup, best: { configuration } }));
    // Something to compare the CPU time with.
    const isCompared = async (): Promise<boolean> => {
      const { streams } = await get<{ streams: { frames: { published: number } }[] }>('/api/streams');
      return streams.every(({ frames }) => frames.published > 13 * FPS);
    };
    await waitFor('12 s of the control', isCompared, { deadlineMs: 90_000 });
    const flags = ['--steps', '100', '--hold', '24s', '--min-frames', '100', '--guards', at('guards.yaml')];
    const refused = await cli(['rollout', 'start', best, ...flags, '--url', url]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('lanes: 1 -> 2')]);

    expect(await rollout('start', best, '--partial', ...flags)).toMatchObject({ steps: [0, 100, 100] });
    const { report, seen } = await end(400_000);
    expect(report.state, report.reason).toBe('promoted');
    expect([...seen]).toEqual(expect.arrayContaining(['0 0', '1 100', '2 100']));
    expect(report.predicted).toEqual({ ratio: 2, low: 1.8, high: 2.2 });
    const { ratio, low, high, controlMs, candidateMs } = report.measured!;
    expect(ratio).toBeCloseTo(controlMs / candidateMs);
    expect([low < ratio, ratio < high, controlMs > 0]).toEqual([true, true, true]);
    const { stdout } = await cli(['rollout', 'status', '--url', url]);
    expect(stdout).toMatch(/gain .* predicted by optimize/);
    expect(stdout).toMatch(/gain .* measured on the live streams, .* ms of CPU time for a frame/);

    // As after a fresh start with the new file, its lanes aside.
    // The host follows the record with its next beat.
    type Device = { inputWidth: number; inputHeight: number; threads: number };
    await waitFor('the new device', async () => {
      const { inputWidth, inputHeight, threads } = (await get<{ host: { device: Device } }>('/api/streams')).host
        .device;
      return inputWidth === 160 && inputHeight === 96 && threads === 1;
    });
    const results = async (): Promise<Record<string, number>[]> => {
      const { streams } = await get<{ streams: { results: Record<string, number> }[] }>('/api/streams');
      return streams.map((stream) => stream.results);
    };
    const before = await results();
    await waitFor('skipped frames of every stream', async () =>
      (await results()).every(({ tracked }, i) => tracked! > before[i]!.tracked! + FPS),
    );
  }, 500_000);

  it('that cannot keep the rate of the streams is rolled back', async () => {
    const best = at('report/best.yaml');
    writeFileSync(
      best,
      pipeline({ inputSize: '160x96', fake: { callMs: 150, rows: rowsOf(0.5) } }, { batch: { maxBatch: 1 } }),
    );
    const flags = ['--steps', '100', '--hold', '5s', '--min-frames', '100', '--guards', at('guards.yaml')];
    await rollout('start', best, ...flags);
    const { report } = await end(300_000);
    expect(report.state, report.reason).toBe('rolled-back');
    expect(report.measured).toBeNull();
    const published = async (): Promise<number[]> => {
      const { streams } = await get<{ streams: { frames: { published: number } }[] }>('/api/streams');
      return streams.map(({ frames }) => frames.published);
    };
    const before = await published();
    await waitFor('the control on every stream', async () =>
      (await published()).every((count, i) => count > before[i]! + 2 * FPS),
    );
  }, 400_000);
});
