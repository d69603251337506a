import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ControlPlane } from '../../src/fleet/control/control-plane.ts';
import { openRedisControlPlane } from '../../src/fleet/control/redis/redis-control-plane.ts';
import { HostProcess } from '../support/host-process.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { waitFor } from '../support/wait-for.ts';

const FPS = 10;
const STREAMS = ['gate', 'yard', 'hall'];
const FILE = {
  name: 'street',
  description: 'Cameras that two hosts share.',
  model: { engine: 'fake', inputSize: '64x64', threads: 1 },
  lanes: 1,
  fleet: { leaseMs: 5_000, beatMs: 500, capacityFps: 200, bulkConcurrency: 0 },
  streams: STREAMS.map((id) => ({ id, source: `synthetic:testsrc2=size=64x64:rate=${FPS}`, policy: 'live' })),
};

interface Line {
  readonly stream: string;
  readonly frame: number;
  readonly fence: number;
  readonly capturedAt: string;
}

describe.skipIf(redisMissing !== null)('a host of a fleet that gets SIGTERM (needs redis-server)', () => {
  let redis: RedisServer;
  let control: ControlPlane;
  let folder: string;
  const hosts: HostProcess[] = [];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-hand-over-'));
    redis = await RedisServer.open();
    control = await openRedisControlPlane({ url: redis.url, leaseMs: FILE.fleet.leaseMs });
  });
  afterEach(async () => {
    for (const host of hosts.splice(0)) await host.kill();
    await control.close();
    await redis.close();
    rmSync(folder, { recursive: true });
  });

  async function start(id: string): Promise<HostProcess> {
    const pipeline = join(folder, `${id}.json`);
    writeFileSync(pipeline, JSON.stringify({ ...FILE, sinks: [{ type: 'jsonl', path: join(folder, `${id}.jsonl`) }] }));
    const host = await HostProcess.start(id, [pipeline, '--redis', redis.url]);
    hosts.push(host);
    return host;
  }

  /** What a host has published of a stream, in order. */
  function published(host: string, stream: string): Line[] {
    const path = join(folder, `${host}.jsonl`);
    const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
    return lines.map((line) => JSON.parse(line) as Line).filter((line) => line.stream === stream);
  }

  it('hands its streams over to a host that runs them already, without a gap of a second', async () => {
    const a = await start('a');
    await waitFor('all streams', () => STREAMS.every((id) => published('a', id).length > FPS));
    await start('b');
    await waitFor('both hosts', async () => (await control.state.snapshot()).hosts.length === 2);
    const { code } = await a.stop();
    expect(code).toBe(0);
    for (const stream of STREAMS) {
      await waitFor(`${stream} at the other host`, () => published('b', stream).length > FPS);
      const [own, other] = [published('a', stream), published('b', stream)];
      const [last, first] = [own.at(-1)!, other[0]!];
      // It had read pictures, and dropped their results, before the stream was its own.
      expect(first.frame).toBeGreaterThan(0);
      expect(first.fence).toBeGreaterThan(last.fence);
      expect(new Set(own.map(({ fence }) => fence)).size).toBe(1);
      const missing = Math.round(((Date.parse(first.capturedAt) - Date.parse(last.capturedAt)) / 1000) * FPS) - 1;
      console.log(`${stream}: ${missing} pictures of ${FPS} a second had no result while it moved`);
      expect(missing).toBeGreaterThanOrEqual(0);
      expect(missing).toBeLessThan(FPS);
    }
    expect((await control.state.snapshot()).hosts.map(({ id }) => id)).toEqual(['b']);
  }, 180_000);
});
