import { describe, expect, it } from 'vitest';
import { AgentRig, BEAT_MS, LEASE_MS, type RiggedHost } from '../../../../support/agent-rig.ts';
import { streamOrder } from '../../../../support/fleet-world.ts';

async function fleet(names: readonly string[], streams: number): Promise<{ rig: AgentRig; hosts: RiggedHost[] }> {
  const rig = new AgentRig();
  const hosts: RiggedHost[] = [];
  for (const name of names) hosts.push(await rig.host(name));
  await rig.pass(BEAT_MS);
  for (let i = 0; i < streams; i++) await rig.state.addOrder(streamOrder(`s${i}`, { maxFps: 2 }));
  await rig.pass(5 * BEAT_MS);
  return { rig, hosts };
}

/** Returns how many hosts run each stream; fails on any runner's complaint. */
function copies(hosts: readonly RiggedHost[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { runner } of hosts) {
    expect(runner.complaints).toEqual([]);
    for (const [id, { lease }] of runner.running) if (lease.isValid()) counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}

const once = (streams: number) => new Map(Array.from({ length: streams }, (_, i) => [`s${i}`, 1]));

function sorted(counts: ReadonlyMap<string, number>): Map<string, number> {
  return new Map([...counts].sort(([a], [b]) => Number(a.slice(1)) - Number(b.slice(1))));
}

describe('a fleet of hosts', () => {
  it('runs every stream once, spread evenly', async () => {
    const { hosts } = await fleet(['a', 'b', 'c'], 12);
    expect(sorted(copies(hosts))).toEqual(once(12));
    expect(hosts.map(({ runner }) => runner.running.size)).toEqual([4, 4, 4]);
    expect(hosts.filter(({ agent }) => agent.isLeader)).toHaveLength(1);
  });

  it('never has two valid leases of a stream when hosts are killed, suspended or cut off', async () => {
    const { rig, hosts } = await fleet(['a', 'b', 'c', 'd'], 12);
    rig.kill('a');
    rig.freeze('b');
    hosts[2]!.line.isCut = true;
    for (let ms = 0; ms < 3 * LEASE_MS; ms += 100) {
      await rig.pass(100);
      // The clocks of killed and frozen hosts stand still, so their leases would seem valid; these hosts cannot publish.
      for (const count of copies([hosts[2]!, hosts[3]!]).values()) expect(count).toBe(1);
    }
    expect(sorted(copies([hosts[3]!]))).toEqual(once(12));
    const clock = rig.thaw('b');
    clock.jump(rig.clock.now() - clock.now());
    hosts[2]!.line.isCut = false;
    for (let ms = 0; ms < 60_000; ms += 100) {
      for (const count of copies(hosts.slice(1)).values()) expect(count).toBe(1);
      await rig.pass(100);
    }
    expect(sorted(copies(hosts.slice(1)))).toEqual(once(12));
  });

  it('is planned by another host once the leader is gone, whose streams run elsewhere', async () => {
    const { rig, hosts } = await fleet(['a', 'b'], 8);
    const leader = hosts.findIndex(({ agent }) => agent.isLeader);
    rig.kill(['a', 'b'][leader]!);
    await rig.pass(LEASE_MS + 3 * BEAT_MS);
    const other = hosts[1 - leader]!;
    expect(other.agent.isLeader).toBe(true);
    expect(sorted(copies([other]))).toEqual(once(8));
  });

  it('empties a host of a dozen streams within five seconds of a drain', async () => {
    const { rig, hosts } = await fleet(['a'], 12);
    const b = await rig.host('b');
    await rig.pass(BEAT_MS);
    await rig.state.setDraining('a', true);
    rig.bus.publish({ topic: 'wake', hostId: 'cli', stream: null, fence: null, body: null });
    await rig.pass(5_000);
    expect(hosts[0]!.runner.running.size).toBe(0);
    expect(sorted(copies([b]))).toEqual(once(12));
    expect(hosts[0]!.drains).toEqual([true]);
    await rig.state.setDraining('a', false);
    await rig.pass(BEAT_MS);
    expect(hosts[0]!.drains).toEqual([true, false]);
  });

  it('takes over the streams of a leaving host without waiting for its leases to expire', async () => {
    const { rig, hosts } = await fleet(['a', 'b'], 8);
    const [a, b] = hosts as [RiggedHost, RiggedHost];
    const leaving = a.agent.stop();
    await rig.pass(2 * BEAT_MS);
    await leaving;
    expect(a.runner.running.size).toBe(0);
    const snapshot = await rig.state.snapshot();
    expect(snapshot.hosts.map(({ id }) => id)).toEqual(['b']);
    await rig.pass(2 * BEAT_MS);
    expect(sorted(copies([b]))).toEqual(once(8));
    const beats = a.line.beatCount;
    await rig.pass(10 * BEAT_MS);
    expect(a.line.beatCount).toBe(beats);
    await a.agent.stop();
  });

  it('publishes events about joining and lost hosts, and about moved streams', async () => {
    const { rig } = await fleet(['a', 'b', 'c'], 6);
    await rig.pass(BEAT_MS);
    rig.kill('b');
    await rig.pass(LEASE_MS + 3 * BEAT_MS);
    const told = rig.events.map(({ message }) => message);
    expect(told).toContain('host b joined: 100 inferences/s for pipeline "street"');
    expect(told).toContain('host b is gone with 2 streams: no heartbeat came');
    expect(told.filter((text) => text.includes('from b: that host is gone'))).toHaveLength(2);
  });

  it('stops cleanly while the control plane is unreachable, and reports what failed', async () => {
    const { rig, hosts } = await fleet(['a'], 2);
    const { agent, runner, line, notices } = hosts[0]!;
    line.isCut = true;
    const leaving = agent.stop();
    await rig.pass(BEAT_MS);
    await leaving;
    expect(runner.running.size).toBe(0);
    expect(notices.at(-1)).toBe('host a could not leave the fleet cleanly: the line is cut');
  });
});
