import { describe, expect, it } from 'vitest';
import { AgentRig, BEAT_MS, type RiggedHost } from '../../../../support/agent-rig.ts';
import { changeOrder, streamOrder } from '../../../../support/fleet-world.ts';

/** Two hosts; the first runs one stream. `log` has what both do, in order. */
async function two(): Promise<{ rig: AgentRig; a: RiggedHost; b: RiggedHost; log: string[] }> {
  const rig = new AgentRig();
  const a = await rig.host('a');
  await rig.state.addOrder(streamOrder('gate', { maxFps: 2 }));
  await rig.pass(2 * BEAT_MS);
  expect(a.runner.log).toEqual(['start gate']);
  const b = await rig.host('b');
  await rig.pass(BEAT_MS);
  const log: string[] = [];
  for (const [name, { runner }] of Object.entries({ a, b })) {
    const push = runner.log.push.bind(runner.log);
    runner.log.push = (...lines) => {
      log.push(...lines.map((line) => `${name}: ${line}`));
      return push(...lines);
    };
  }
  return { rig, a, b, log };
}

/** Runs time in steps, and returns for how long nobody could publish the stream: the gap, and for how long two could: never. */
async function gapMs(rig: AgentRig, hosts: readonly RiggedHost[], forMs: number): Promise<number> {
  let gap = 0;
  for (let ms = 0; ms < forMs; ms += 50) {
    await rig.pass(50);
    const valid = hosts.filter(({ runner }) => runner.running.get('gate')?.lease.isValid() === true);
    expect(valid.length).toBeLessThan(2);
    if (valid.length === 0) gap += 50;
  }
  return gap;
}

describe('a host that stops', () => {
  it('goes on until the next host has a result, which then goes on within a tenth of a second', async () => {
    const { rig, a, b, log } = await two();
    b.runner.canStandBy = true;
    const fence = a.agent.fence('gate')!;
    const stopping = a.agent.stop();
    expect(await gapMs(rig, [a, b], 2 * BEAT_MS)).toBe(0);
    expect(log).toEqual(['b: stand by gate']);
    expect([a.agent.fence('gate'), b.agent.fence('gate')]).toEqual([fence, null]);
    b.runner.hasResults = true;
    expect(await gapMs(rig, [a, b], 2 * BEAT_MS)).toBeLessThanOrEqual(100);
    await stopping;
    expect(log).toEqual(['b: stand by gate', 'a: stop gate']);
    expect(b.agent.fence('gate')).toBeGreaterThan(fence);
    expect(b.runner.running.get('gate')!.lease.fence).toBe(b.agent.fence('gate'));
    expect((await rig.state.snapshot()).hosts.map(({ id }) => id)).toEqual(['b']);
    expect([...a.runner.complaints, ...b.runner.complaints]).toEqual([]);
  });

  it('does the same when it is drained, and is told as draining while it leaves', async () => {
    const { rig, a, b, log } = await two();
    b.runner.canStandBy = true;
    await rig.state.setDraining('a', true);
    expect(await gapMs(rig, [a, b], 2 * BEAT_MS)).toBe(0);
    b.runner.hasResults = true;
    expect(await gapMs(rig, [a, b], BEAT_MS)).toBeLessThanOrEqual(100);
    expect(log).toEqual(['b: stand by gate', 'a: stop gate']);
    await rig.state.setDraining('a', false);
    const stopping = b.agent.stop();
    await rig.pass(100);
    const { draining } = await rig.state.snapshot();
    await rig.pass(3 * BEAT_MS);
    await stopping;
    expect([...draining]).toEqual(['b']);
    // A host that starts again under this name is not draining.
    expect([...(await rig.state.snapshot()).draining]).toEqual([]);
  });

  it('waits at most 5 s for a host that gets no picture', async () => {
    const { rig, a, b, log } = await two();
    b.runner.canStandBy = true;
    const stopping = a.agent.stop();
    await rig.pass(5_000 - BEAT_MS);
    expect(log).toEqual(['b: stand by gate']);
    expect(await gapMs(rig, [a, b], 3 * BEAT_MS)).toBeLessThanOrEqual(300);
    await stopping;
    expect(log).toEqual(['b: stand by gate', 'a: stop gate']);
  });

  it('hands over at once what cannot stand by, such as a file', async () => {
    const { rig, a, b, log } = await two();
    const stopping = a.agent.stop();
    expect(await gapMs(rig, [a, b], 2 * BEAT_MS)).toBeLessThanOrEqual(200);
    await stopping;
    expect(log).toEqual(['a: stop gate', 'b: start gate']);
  });

  it('stops at once without another host of its pipeline, and when the others stop too', async () => {
    const { rig, a, b } = await two();
    b.runner.canStandBy = true;
    const stopping = [a.agent.stop(), b.agent.stop()];
    await rig.pass(2 * BEAT_MS);
    await Promise.all(stopping);
    const alone = new AgentRig();
    const only = await alone.host('a');
    await alone.state.addOrder(streamOrder('gate', { maxFps: 2 }));
    await alone.pass(2 * BEAT_MS);
    const end = only.agent.stop();
    await alone.settle();
    await end;
    expect(only.runner.log).toEqual(['start gate', 'stop gate']);
  });

  it('stops a stream at once that is paused meanwhile', async () => {
    const { rig, a, b, log } = await two();
    b.runner.canStandBy = true;
    const stopping = a.agent.stop();
    await rig.pass(BEAT_MS);
    await changeOrder(rig.state, streamOrder('gate', { maxFps: 2 }, { isPaused: true }));
    await rig.pass(2 * BEAT_MS);
    expect(b.runner.running.size).toBe(0);
    await rig.pass(5 * BEAT_MS);
    await stopping;
    expect(a.runner.running.size).toBe(0);
    expect(log.at(-1)).toMatch(/stop gate/);
  });

  it('with settings that changed meanwhile, the stream is changed once it has its lease', async () => {
    const { rig, a, b, log } = await two();
    b.runner.canStandBy = true;
    const stopping = a.agent.stop();
    await rig.pass(BEAT_MS);
    await changeOrder(rig.state, streamOrder('gate', { maxFps: 1 }));
    await rig.pass(BEAT_MS);
    b.runner.hasResults = true;
    await rig.pass(2 * BEAT_MS);
    await stopping;
    expect(log).toEqual(['b: stand by gate', 'a: stop gate', 'b: change gate']);
    expect(b.runner.running.get('gate')!.config.maxFps).toBe(1);
  });
});
