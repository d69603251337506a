import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ControlPlane } from '../../src/fleet/control/control-plane.ts';
import { HostAgent } from '../../src/fleet/control/hosting/host-agent.ts';
import { PLAN_DEFAULTS } from '../../src/fleet/control/planning/plan-options.ts';
import { openRedisControlPlane } from '../../src/fleet/control/redis/redis-control-plane.ts';
import { CutState, PretendedRunner } from '../support/agent-rig.ts';
import { hostCard, streamOrder } from '../support/fleet-world.ts';
import { RedisServer, redisMissing } from '../support/redis-server.ts';
import { waitFor } from '../support/wait-for.ts';

const LEASE_MS = 1_500;
const BEAT_MS = 250;
const STREAMS = 12;

interface Member {
  readonly agent: HostAgent;
  readonly runner: PretendedRunner;
  readonly line: CutState;
  readonly control: ControlPlane;
}

describe.skipIf(redisMissing !== null)('agents over a real Redis', () => {
  let redis: RedisServer;
  let members: Member[];

  beforeEach(async () => {
    redis = await RedisServer.open();
    members = [];
    for (const id of ['a', 'b', 'c']) await join(id);
    for (let i = 0; i < STREAMS; i++) await members[0]!.control.state.addOrder(streamOrder(`s${i}`, { maxFps: 10 }));
    await allRun(members);
  });

  afterEach(async () => {
    redis.resume();
    for (const { agent, control } of members) {
      await agent.stop();
      await control.close();
    }
    await redis.close();
    for (const { runner } of members) expect(runner.complaints).toEqual([]);
  });

  async function join(id: string): Promise<void> {
    const control = await openRedisControlPlane({ url: redis.url, leaseMs: LEASE_MS, commandTimeoutMs: 500 });
    const runner = new PretendedRunner();
    const line = new CutState(control.state);
    const { liveFps: _, bulkFps: __, streams: ___, segments: ____, ...card } = hostCard(id, 200);
    const agent = new HostAgent({
      control: { state: line, bus: control.bus },
      runner,
      card: { ...card, startedMs: Date.now() },
      beatMs: BEAT_MS,
      leaseMs: LEASE_MS,
      plan: { ...PLAN_DEFAULTS, fillRatio: 0.8, movesPerSecond: 100 },
      onDraining: () => {},
      onNotice: () => {},
    });
    await agent.start();
    members.push({ agent, runner, line, control });
  }

  /** Streams whose results a host may publish, with their fences. */
  function valid(of: readonly Member[]): [string, number][] {
    return of.flatMap(({ runner }) =>
      [...runner.running].flatMap(([id, { lease }]) =>
        lease.isValid() ? [[id, lease.fence] as [string, number]] : [],
      ),
    );
  }

  function allRun(of: readonly Member[]): Promise<number> {
    const isSo = (): boolean => valid(of).length === STREAMS && new Set(valid(of).map(([id]) => id)).size === STREAMS;
    return waitFor('every stream runs once', isSo, {}, () => `running: ${valid(of).join(' ')}`);
  }

  it('run every stream once, and restart streams elsewhere when the leader dies', async () => {
    const dead = members.find(({ agent }) => agent.isLeader)!;
    expect(dead.runner.running.size).toBeGreaterThan(0);
    dead.line.isCut = true;
    const others = members.filter((member) => member !== dead);
    await allRun(others);
    expect(others.filter(({ agent }) => agent.isLeader)).toHaveLength(1);
    await waitFor('the cut host has stopped its streams', () => dead.runner.running.size === 0);
    dead.line.isCut = false;
  });

  it('stop their streams while Redis does not answer, and run them under higher fences afterwards', async () => {
    const before = new Map(valid(members));
    redis.pause();
    await waitFor('every lease has expired', () => members.every(({ runner }) => runner.running.size === 0));
    redis.resume();
    await allRun(members);
    for (const [id, fence] of valid(members)) expect(fence).toBeGreaterThan(before.get(id)!);
  });

  it('hand over the streams of a leaving host without waiting for its leases to expire', async () => {
    const leaving = members[1]!;
    await leaving.agent.stop();
    expect(leaving.runner.running.size).toBe(0);
    await allRun(members.filter((member) => member !== leaving));
    const { leases } = await members[0]!.control.state.snapshot();
    expect([...leases.values()].some(({ hostId }) => hostId === 'b')).toBe(false);
  });
});
