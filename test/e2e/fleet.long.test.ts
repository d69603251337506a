import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ControlPlane } from '../../src/fleet/control/control-plane.ts';
import { openRedisControlPlane } from '../../src/fleet/control/redis/redis-control-plane.ts';
import { demoClip } from '../../src/network/store/package-root.ts';
import type { JobReport } from '../../src/wire/protocol/fleet.ts';
import { cli, temporaryFolder } from '../support/cli.ts';
import { FenceChecker } from '../support/fence-checker.ts';
import { HostProcess } from '../support/host-process.ts';
import { testFfmpeg } from '../support/made-videos.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { waitFor } from '../support/wait-for.ts';

const LEASE_MS = 3_000;
const STREAMS = Array.from({ length: 12 }, (_, i) => `cam-${i + 1}`);
const FILES = ['a', 'b', 'c'];
/** The real network with a small input, so that two cores can run twelve streams and the bulk work. */
const MODEL = ['--model', 'centernet', '--input-size', '128x128'];

const PIPELINE = (roots: string): string => `
name: street
description: Twelve paced cameras and bulk work for a test.
model: { name: centernet, inputSize: 128x128, threads: 1 }
fleet:
  leaseMs: ${LEASE_MS}
  beatMs: 500
  capacityFps: 60
  bulkConcurrency: 1
  schemes: [file]
  roots: ["${roots}"]
`;

describe.skipIf(redisMissing !== null)('a fleet of three hosts (needs redis-server)', () => {
  const temporary = temporaryFolder();
  const pipeline = join(temporary.path, 'street.yaml');
  const footage = join(temporary.path, 'footage');
  const results = join(temporary.path, 'results');
  const hosts = new Map<string, HostProcess>();
  let redis: RedisServer;
  let control: ControlPlane;
  let checker: FenceChecker;

  const startHost = async (id: string): Promise<void> => {
    hosts.set(id, await HostProcess.start(id, [pipeline, '--redis', redis.url]));
  };
  const report = async (): Promise<JobReport> => (await control.tasks.job('archive')).report;

  /** Waits until every stream has published under a valid lease since `sinceMs`. */
  const allLive = async (what: string, sinceMs: number, deadlineMs: number): Promise<void> => {
    await waitFor(
      what,
      () => checker.silentSince(sinceMs, STREAMS).length === 0,
      { deadlineMs, everyMs: 50 },
      () => `silent: ${checker.silentSince(sinceMs, STREAMS).join(', ')}`,
    );
    const afterS = (performance.now() - sinceMs) / 1000;
    console.log(`${what}: all twelve streams live ${afterS.toFixed(1)} s later`);
  };

  beforeAll(async () => {
    mkdirSync(footage);
    mkdirSync(results);
    writeFileSync(pipeline, PIPELINE(temporary.path));
    const encode = (name: string, from: number, seconds: number): Promise<unknown> =>
      promisify(execFile)(testFfmpeg.path, [
        ...['-loglevel', 'error', '-nostdin', '-y', '-ss', String(from), '-stream_loop', '-1', '-i', demoClip()],
        ...['-t', String(seconds), '-vf', 'scale=320:-2', '-c:v', 'mpeg4', '-q:v', '5', '-g', '25', '-an'],
        join(footage, `${name}.mp4`),
      ]);
    await Promise.all([...FILES.map((name, i) => encode(name, i * 3, 60)), encode('camera', 0, 20)]);
    redis = await RedisServer.open({ isDurable: true });
    control = await openRedisControlPlane({ url: redis.url, leaseMs: LEASE_MS });
    checker = new FenceChecker(control);
    await Promise.all(['h1', 'h2', 'h3'].map(startHost));
  }, 180_000);

  afterAll(async () => {
    for (const host of hosts.values()) await host.kill();
    checker?.close();
    await control?.close();
    await redis?.close();
    temporary.remove();
  });

  it('shares twelve paced streams and runs a job of several files', async () => {
    const startedMs = performance.now();
    const camera = join(footage, 'camera.mp4');
    const settings = { loop: true, realtime: true, maxFps: 2 };
    const [first, ...others] = STREAMS;
    const add = ['streams', 'add', first!, camera, '--redis', redis.url, '--config', JSON.stringify(settings)];
    expect(await cli(add)).toMatchObject({ code: 0 });
    for (const [i, id] of others.entries()) {
      const gateway = [...hosts.values()][i % hosts.size]!.url;
      const body = JSON.stringify({ id, source: camera, ...settings });
      const headers = { 'content-type': 'application/json' };
      expect((await fetch(`${gateway}/api/streams`, { method: 'POST', headers, body })).status).toBe(201);
    }
    await allLive('start', startedMs, 30_000);
    expect(new Set(STREAMS.map((id) => checker.hostOf(id))).size, 'all hosts have some').toBe(3);
    const inputs = FILES.map((name) => join(footage, `${name}.mp4`));
    const options = ['--out', results, '--id', 'archive', '--segment-seconds', '4', '--track', '--redis', redis.url];
    expect(await cli(['submit', ...inputs, ...options])).toMatchObject({ code: 0 });
    await waitFor('a first segment', async () => (await report()).segmentsDone > 0, { deadlineMs: 60_000 });
  }, 180_000);

  it('the streams of a killed host run on others within 15 s', async () => {
    const victim = hosts.get(checker.hostOf('cam-1')!)!;
    const orphans = STREAMS.filter((id) => checker.hostOf(id) === victim.id);
    const fences = orphans.map((id) => checker.fenceOf(id));
    await victim.kill();
    const killedMs = performance.now();
    await waitFor('new leases', () => orphans.every((id, i) => checker.fenceOf(id) > fences[i]!));
    await allLive('host killed', killedMs, 15_000 - (performance.now() - killedMs));
    expect(orphans.every((id) => checker.hostOf(id) !== victim.id)).toBe(true);
    await startHost(victim.id);
  }, 120_000);

  it('a host that is suspended for longer than its lease loses its streams and publishes nothing when it resumes', async () => {
    const victim = hosts.get(checker.hostOf('cam-1')!)!;
    const orphans = STREAMS.filter((id) => checker.hostOf(id) === victim.id);
    const fences = orphans.map((id) => checker.fenceOf(id));
    victim.signal('SIGSTOP');
    const stoppedMs = performance.now();
    await waitFor('new leases', () => orphans.every((id, i) => checker.fenceOf(id) > fences[i]!));
    await allLive('host frozen', stoppedMs, 15_000 - (performance.now() - stoppedMs));
    await sleep(LEASE_MS);
    victim.signal('SIGCONT');
    await sleep(2 * LEASE_MS);
    expect(checker.violations).toEqual([]);
  }, 120_000);

  it('every stream is live within 15 s after Redis was killed and restarted', async () => {
    await redis.kill();
    await sleep(1_000);
    await redis.start();
    await allLive('redis restarted', performance.now(), 15_000);
  }, 120_000);

  it('every stream is live within 15 s after Redis was suspended for 20 s', async () => {
    redis.pause();
    await sleep(20_000);
    redis.resume();
    await allLive('redis paused for 20 s', performance.now(), 15_000);
  }, 120_000);

  it('the streams of a drained host are live on others within 5 s', async () => {
    await waitFor('three hosts', async () => (await control.state.snapshot()).hosts.length === 3);
    const drained = checker.hostOf('cam-1')!;
    const moved = STREAMS.filter((id) => checker.hostOf(id) === drained);
    const startedMs = performance.now();
    expect(await cli(['streams', 'drain', drained, '--redis', redis.url])).toMatchObject({ code: 0 });
    const tookMs = await waitFor('the move', () => moved.every((id) => checker.hostOf(id) !== drained));
    console.log(`drain: ${moved.length} streams moved in ${(tookMs / 1000).toFixed(1)} s`);
    await allLive('host drained', performance.now(), 15_000);
    expect(performance.now() - startedMs).toBeGreaterThan(0);
  }, 120_000);

  it('no frame was accepted twice, and the bulk result is byte-identical to that of an undisturbed run', async () => {
    expect(checker.violations).toEqual([]);
    expect(checker.acceptedCount).toBeGreaterThan(100);
    await waitFor(
      'the job',
      async () => (await report()).state === 'done',
      { deadlineMs: 240_000 },
      async () => JSON.stringify(await control.tasks.job('archive')),
    );
    const { deadLetters } = await control.tasks.job('archive');
    expect(deadLetters).toEqual([]);
    for (const host of hosts.values()) expect(await host.stop()).toMatchObject({ code: 0 });
    hosts.clear();
    for (const name of FILES) {
      const expected = join(temporary.path, `${name}.expected.jsonl`);
      const input = join(footage, `${name}.mp4`);
      expect(await cli(['detect', input, '--track', '--out', expected, ...MODEL])).toMatchObject({ code: 0 });
      const got = readFileSync(join(results, `${name}.mp4.jsonl`));
      expect(got.equals(readFileSync(expected)), `${name}: ${got.length} bytes`).toBe(true);
    }
    expect(readdirSync(results).filter((file) => file.endsWith('.tmp'))).toEqual([]);
  }, 400_000);
});
