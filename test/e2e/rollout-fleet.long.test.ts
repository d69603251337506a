import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RolloutReport } from '../../src/wire/protocol/rollout-records.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { HostProcess } from '../support/host-process.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { waitFor } from '../support/wait-for.ts';

const STREAMS = ['a', 'b', 'c', 'd'];
const PERSON = [10, 20, 30, 40, 0.9, 0];
const CAR = [100, 50, 60, 80, 0.8, 2];
/** Machines that run tests are busy, so the limits of these guards are wide. */
const GUARDS = { p99: { margin: 10, partMargin: 10 }, fps: { margin: 0.5, partMargin: 0.9 }, drops: { margin: 0.5 } };

describe.skipIf(redisMissing !== null)('a roll-out on two hosts that share a Redis (needs redis-server)', () => {
  const temporary = temporaryFolder();
  const videos = new VideoFolder();
  const hosts: HostProcess[] = [];
  let redis: RedisServer;
  let clip: string;

  const at = (name: string): string => join(temporary.path, name);
  const pipeline = (rows: readonly number[]): string =>
    JSON.stringify({
      name: 'people',
      description: 'Paced files in place of cameras.',
      model: { engine: 'fake', threads: 1, fake: { callMs: 1, rows } },
      lanes: 1,
      fleet: { leaseMs: 5000, capacityFps: 200, schemes: ['file'], roots: [videos.path] },
      streams: STREAMS.map((id) => ({ id, source: clip, loop: true, realtime: true })),
      rollout: { folder: temporary.path },
    });
  /** Any host answers. */
  const rollout = async (...args: string[]): Promise<RolloutReport> => {
    const { code, stdout, stderr } = await cli(['rollout', ...args, '--url', hosts.at(-1)!.url, '--json']);
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout) as RolloutReport;
  };
  const start = (name: string): Promise<RolloutReport> => {
    const flags = ['--steps', '100', '--hold', '3s', '--min-frames', '100', '--guards', at('guards.yaml')];
    return rollout('start', at(name), ...flags);
  };
  /** What `rollout status` prints. A process for each look would take a core for itself. */
  const status = async (): Promise<RolloutReport> => {
    const answer = (await (await fetch(`${hosts.at(-1)!.url}/api/rollouts`)).json()) as { rollout: RolloutReport };
    return answer.rollout;
  };
  async function end(): Promise<RolloutReport> {
    let report = await rollout('status');
    const isOver = async (): Promise<boolean> => {
      report = await status();
      return !['running', 'holding'].includes(report.state);
    };
    await waitFor('the end', isOver, { deadlineMs: 300_000, everyMs: 1000 }, () => JSON.stringify(report, null, 1));
    return report;
  }
  const running = async (): Promise<string[]> => {
    const { streams } = (await (await fetch(`${hosts.at(-1)!.url}/api/streams`)).json()) as {
      streams: { id: string; state: string }[];
    };
    return streams.filter(({ state }) => state === 'running').map(({ id }) => id);
  };

  beforeAll(async () => {
    redis = await RedisServer.open();
    clip = await videos.make('clip.mp4', { frames: 250, fps: 25 });
    writeFileSync(at('guards.yaml'), JSON.stringify(GUARDS));
    writeFileSync(at('people.yaml'), pipeline([...PERSON, ...CAR]));
    writeFileSync(at('lost.yaml'), pipeline(PERSON));
    writeFileSync(at('equal.yaml'), pipeline([...PERSON, ...CAR.with(4, 0.81)]));
    for (const id of ['one', 'two']) hosts.push(await HostProcess.start(id, [at('people.yaml'), '--redis', redis.url]));
    await waitFor('four running streams', async () => (await running()).length === STREAMS.length);
  }, 120_000);

  afterAll(async () => {
    for (const host of hosts) await host.kill();
    await redis.close();
    temporary.remove();
    videos.remove();
  });

  it('that lost the class car is rolled back', async () => {
    await start('lost.yaml');
    const report = await end();
    expect(report.state, report.reason).toBe('rolled-back');
    expect(report.reason).toMatch(/^(agreement|boxes|confidence):/);
  }, 330_000);

  it('that is equal is promoted, also when a host is killed in mid-step', async () => {
    expect(await start('equal.yaml')).toMatchObject({ shadow: false, streams: STREAMS.length });
    await waitFor('the step of 100 %', async () => (await status()).share === 100, {
      deadlineMs: 240_000,
      everyMs: 1000,
    });
    // It began first, so it is the one that decides.
    await hosts.shift()!.kill();
    const report = await end();
    expect(report, report.reason).toMatchObject({ state: 'promoted', share: 100 });
    await waitFor('all streams on the other host', async () => (await running()).length === STREAMS.length);
  }, 480_000);
});
