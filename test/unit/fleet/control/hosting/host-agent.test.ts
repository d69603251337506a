import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { SightlineError } from '../../../../../src/base/errors/sightline-error.ts';
import { AgentRig, BEAT_MS, LEASE_MS, type RiggedHost, settle } from '../../../../support/agent-rig.ts';
import { changeOrder, streamOrder } from '../../../../support/fleet-world.ts';
import { mutationsOf } from '../../../../support/mutations.ts';

/** One host that runs one stream. */
async function oneRunning(): Promise<{ rig: AgentRig; host: RiggedHost }> {
  const rig = new AgentRig();
  const host = await rig.host('a');
  await order(rig, 'gate');
  await rig.pass(BEAT_MS);
  expect(host.runner.log).toEqual(['start gate']);
  return { rig, host };
}

async function order(rig: AgentRig, id: string, settings: Readonly<Record<string, unknown>> = {}): Promise<void> {
  await rig.state.addOrder(streamOrder(id, { maxFps: 10, ...settings }));
  wake(rig, id);
  await settle();
}

function wake(rig: AgentRig, stream: string | null): void {
  rig.bus.publish({ topic: 'wake', hostId: 'cli', stream, fence: null, body: null });
}

function reporting(host: RiggedHost): readonly string[] {
  expect(host.runner.complaints).toEqual([]);
  return [...host.runner.running.keys()];
}

describe('an ordered stream', () => {
  it('is planned, claimed and started after a wake, without waiting for a heartbeat', async () => {
    const rig = new AgentRig();
    const host = await rig.host('a');
    await rig.pass(BEAT_MS / 2);
    await order(rig, 'gate');
    await rig.pass(300);
    expect(reporting(host)).toEqual(['gate']);
    expect(host.agent.streams()).toMatchObject([{ id: 'gate', state: 'running', failure: null }]);
    expect(host.agent.mayPublish('gate')).toBe(true);
    expect(host.agent.fence('gate')).toBe(host.runner.running.get('gate')?.lease.fence);
  });

  it('is changed once when its settings change, and not when only its wanted host does', async () => {
    const { rig, host } = await oneRunning();
    await changeOrder(rig.state, streamOrder('gate', { maxFps: 5 }));
    await rig.pass(3 * BEAT_MS);
    expect(host.runner.log).toEqual(['start gate', 'change gate']);
    expect(host.runner.running.get('gate')?.config.maxFps).toBe(5);
    await changeOrder(rig.state, streamOrder('gate', { maxFps: 5 }, { wantedHost: 'a' }));
    await rig.pass(3 * BEAT_MS);
    expect(host.runner.log).toHaveLength(2);
  });

  it('is stopped and its lease released when it is paused or removed', async () => {
    const { rig, host } = await oneRunning();
    await changeOrder(rig.state, streamOrder('gate', { maxFps: 10 }, { isPaused: true }));
    await rig.pass(2 * BEAT_MS);
    expect(reporting(host)).toEqual([]);
    expect((await rig.state.snapshot()).leases.size).toBe(0);
    await changeOrder(rig.state, streamOrder('gate', { maxFps: 10 }));
    await rig.pass(2 * BEAT_MS);
    expect(reporting(host)).toEqual(['gate']);
    await rig.state.removeOrder('gate');
    await rig.pass(2 * BEAT_MS);
    expect(host.runner.log).toEqual(['start gate', 'stop gate', 'start gate', 'stop gate']);
    expect(host.agent.streams()).toEqual([]);
  });

  it('is limited to the rate that a full fleet allows', async () => {
    const rig = new AgentRig();
    const host = await rig.host('a', 20);
    await order(rig, 'gate', { maxFps: 20 });
    await order(rig, 'yard', { maxFps: 12 });
    await rig.pass(2 * BEAT_MS);
    const rates = Object.fromEntries([...host.runner.running].map(([id, { config }]) => [id, config.maxFps]));
    expect(rates).toEqual({ gate: 8, yard: 6 });
    expect(rig.events.map(({ kind }) => kind)).toContain('stream-reduced');
  });

  it('pays an inference for each view of a frame', async () => {
    const rig = new AgentRig();
    const host = await rig.host('a', 20);
    await order(rig, 'tiled', { maxFps: 20, tiles: { columns: 2, rows: 2, overlap: 0.2, whole: true } });
    await rig.pass(2 * BEAT_MS);
    const wide = host.runner.running.get('tiled')!.config.maxFps!;
    await order(rig, 'tiled-no-more', { maxFps: 20 });
    await rig.state.removeOrder('tiled');
    await rig.pass(4 * BEAT_MS);
    const plain = host.runner.running.get('tiled-no-more')!.config.maxFps!;
    expect(wide * 5).toBeCloseTo(plain, 1);
  });
});

describe('a lease', () => {
  it('is renewed by heartbeats while they are answered', async () => {
    const { rig, host } = await oneRunning();
    await rig.pass(10 * LEASE_MS);
    expect(host.runner.log).toEqual(['start gate']);
    expect(host.agent.mayPublish('gate')).toBe(true);
  });

  it('claimed by another host ends the stream at once', async () => {
    const { rig, host } = await oneRunning();
    const fence = host.agent.fence('gate')!;
    await rig.state.release('gate', 'a', fence);
    const other = streamOrder('gate', { maxFps: 10 });
    await rig.host('b');
    expect(await rig.state.claim('gate', 'b')).toBeGreaterThan(fence);
    const { lease } = host.runner.running.get('gate')!;
    await rig.pass(BEAT_MS);
    expect([reporting(host), lease.isValid(), host.agent.mayPublish(other.id)]).toEqual([[], false, false]);
  });

  it('counts from when the heartbeat was sent, not from when it was answered', async () => {
    const { rig, host } = await oneRunning();
    const { lease } = host.runner.running.get('gate')!;
    let answer = (): void => {};
    host.line.delay = new Promise((resolve) => {
      answer = resolve;
    });
    while (host.line.underway === 0) await rig.pass(50);
    const sentMs = rig.clock.now();
    await rig.pass(LEASE_MS - 2 * BEAT_MS);
    answer();
    host.line.isCut = true;
    await rig.pass(sentMs + LEASE_MS - 1 - rig.clock.now());
    expect(lease.isValid()).toBe(true);
    await rig.pass(1);
    expect(lease.isValid()).toBe(false);
  });

  it('of a suspended process is invalid before any of its timers runs', async () => {
    const { rig, host } = await oneRunning();
    const { lease } = host.runner.running.get('gate')!;
    rig.freeze('a');
    await rig.pass(2 * LEASE_MS);
    const other = await rig.host('b');
    await rig.pass(2 * BEAT_MS);
    expect(reporting(other)).toEqual(['gate']);
    const clock = rig.thaw('a');
    clock.jump(rig.clock.now() - clock.now());
    expect([lease.isValid(), host.agent.mayPublish('gate')]).toEqual([false, false]);
    await rig.pass(2 * BEAT_MS);
    expect([reporting(host), reporting(other)]).toEqual([[], ['gate']]);
  });

  it('lost during the start stops the stream that was just started', async () => {
    const rig = new AgentRig();
    const host = await rig.host('a');
    let open = (): void => {};
    host.runner.gate = new Promise((resolve) => {
      open = resolve;
    });
    await order(rig, 'gate');
    await rig.pass(BEAT_MS);
    host.line.isCut = true;
    await rig.pass(2 * LEASE_MS);
    open();
    await rig.pass(BEAT_MS);
    expect(host.runner.log).toEqual(['start gate', 'stop gate']);
  });
});

describe('while the control plane is unreachable', () => {
  it('streams run until their leases expire, stop, and restart under a new fence', async () => {
    const { rig, host } = await oneRunning();
    const before = host.agent.fence('gate')!;
    host.line.isCut = true;
    await rig.pass(LEASE_MS - BEAT_MS - 100);
    expect(reporting(host)).toEqual(['gate']);
    await rig.pass(2 * BEAT_MS);
    expect([reporting(host), host.agent.mayPublish('gate')]).toEqual([[], false]);
    await rig.pass(10 * LEASE_MS);
    host.line.isCut = false;
    await rig.pass(2 * BEAT_MS);
    expect(reporting(host)).toEqual(['gate']);
    expect(host.agent.fence('gate')).toBeGreaterThan(before);
    expect(host.notices).toEqual([
      'heartbeat failed, streams run until their leases expire: the line is cut [CONTROL_UNREACHABLE]',
      'the control plane answers again',
    ]);
  });

  it('a short outage affects no stream', async () => {
    const { rig, host } = await oneRunning();
    host.line.isCut = true;
    await rig.pass(2 * BEAT_MS);
    host.line.isCut = false;
    await rig.pass(4 * BEAT_MS);
    expect(host.runner.log).toEqual(['start gate']);
  });

  it('a starting host fails at once', async () => {
    const rig = new AgentRig();
    await rig.host('a');
    await expect(rig.host('a')).resolves.toBeDefined();
    await rig.pass(BEAT_MS);
    await expect(rig.host('a')).rejects.toMatchObject({ code: 'HOST_EXISTS' });
  });

  it('a host that failed to start sends no further heartbeat, even if a wake message came meanwhile', async () => {
    const rig = new AgentRig();
    await rig.host('a');
    await rig.pass(BEAT_MS);
    rig.kill('a');
    const beats = vi.spyOn(rig.state, 'beat');
    wake(rig, null);
    await expect(rig.host('a')).rejects.toMatchObject({ code: 'HOST_EXISTS' });
    await rig.pass(2 * LEASE_MS);
    expect(beats).toHaveBeenCalledOnce();
  });
});

describe('heartbeats', () => {
  it('never overlap and are not queued, however slow the reply and however many wakes', async () => {
    const { rig, host } = await oneRunning();
    let answer = (): void => {};
    host.line.delay = new Promise((resolve) => {
      answer = resolve;
    });
    const before = host.line.beatCount;
    for (let i = 0; i < 30; i++) {
      wake(rig, null);
      await rig.pass(100);
    }
    expect([host.line.beatCount - before, host.line.mostUnderway]).toEqual([1, 1]);
    answer();
    host.line.delay = Promise.resolve();
    await rig.pass(200);
    // The reply may be older than the change, so another heartbeat follows at once.
    expect([host.line.beatCount - before, host.line.mostUnderway]).toEqual([2, 1]);
  });

  it('are sent at most ten times a second during a storm of wakes', async () => {
    const { rig, host } = await oneRunning();
    const before = host.line.beatCount;
    for (let i = 0; i < 20; i++) {
      for (let n = 0; n < 10; n++) wake(rig, null);
      await rig.pass(50);
    }
    expect(host.line.beatCount - before).toBeGreaterThan(5);
    expect(host.line.beatCount - before).toBeLessThanOrEqual(11);
  });

  it('are not caused by malformed wakes, which are counted; heartbeats continue', async () => {
    const { rig, host } = await oneRunning();
    await rig.pass(BEAT_MS);
    await fc.assert(
      fc.asyncProperty(fc.oneof(mutationsOf({ hosts: ['a', 'b'] }), fc.jsonValue()), async (body) => {
        rig.bus.publish({ topic: 'wake', hostId: 'h9', stream: 'gate', fence: null, body });
        await settle();
      }),
      { numRuns: 200 },
    );
    const before = host.line.beatCount;
    rig.bus.publish({ topic: 'wake', hostId: 'h9', stream: 'gate', fence: null, body: { hosts: [7] } });
    await rig.pass(200);
    const wakeless = host.line.beatCount - before;
    await rig.pass(2 * BEAT_MS);
    expect(wakeless).toBeLessThanOrEqual(1);
    expect(host.line.beatCount - before).toBeGreaterThanOrEqual(2);
    expect(host.notices.join()).toContain('a message was refused (bus-wake, schema)');
    expect(reporting(host)).toEqual(['gate']);
  });

  it('are not caused by wakes for streams on other hosts', async () => {
    const { rig } = await oneRunning();
    const other = await rig.host('b');
    await rig.pass(BEAT_MS);
    const before = other.line.beatCount;
    for (let i = 0; i < 8; i++) {
      wake(rig, 'gate');
      await rig.pass(100);
    }
    expect(other.line.beatCount - before).toBeLessThanOrEqual(1);
  });
});

describe('a start that fails', () => {
  it('keeps the lease, is reported once, retried with back-off, and succeeds in the end', async () => {
    const rig = new AgentRig();
    const host = await rig.host('a');
    host.runner.failure = new SightlineError('SOURCE_UNREACHABLE', 'no route to camera');
    await order(rig, 'gate');
    await rig.pass(10_000);
    const failed = host.runner.log.length;
    expect(failed).toBeGreaterThanOrEqual(3);
    expect(failed).toBeLessThanOrEqual(6);
    expect(host.agent.streams()).toMatchObject([{ state: 'failed', failure: { code: 'SOURCE_UNREACHABLE' } }]);
    expect(rig.events.filter(({ kind }) => kind === 'stream-warning')).toHaveLength(1);
    expect((await rig.state.snapshot()).leases.get('gate')?.hostId).toBe('a');
    host.runner.failure = null;
    await rig.pass(30_000);
    expect(reporting(host)).toEqual(['gate']);
    expect(host.agent.streams()).toMatchObject([{ state: 'running', failure: null }]);
  });

  it('is retried at once when the order changes, and rarely after a permanent error', async () => {
    const rig = new AgentRig();
    const host = await rig.host('a');
    host.runner.failure = new SightlineError('SOURCE_FORBIDDEN', 'file:///etc is not below roots');
    await order(rig, 'gate');
    await rig.pass(20_000);
    expect(host.runner.log).toEqual(['fail gate']);
    host.runner.failure = null;
    await changeOrder(rig.state, streamOrder('gate', { maxFps: 8 }));
    await rig.pass(BEAT_MS);
    expect(reporting(host)).toEqual(['gate']);
  });

  it('with new settings leaves the stream running with the old ones', async () => {
    const { rig, host } = await oneRunning();
    host.runner.failure = new SightlineError('SOURCE_UNREACHABLE', 'no route to camera');
    await changeOrder(rig.state, streamOrder('gate', { maxFps: 5 }));
    await rig.pass(2 * BEAT_MS);
    expect(reporting(host)).toEqual(['gate']);
    expect(host.agent.streams()).toMatchObject([{ state: 'failed' }]);
    host.runner.failure = null;
    await rig.pass(5_000);
    expect(host.runner.running.get('gate')?.config.maxFps).toBe(5);
  });
});

describe('a stream that fails after its start', () => {
  it('is reported with its reason, restarted after a while under the same lease, and runs again', async () => {
    const { rig, host } = await oneRunning();
    const fence = (await rig.state.snapshot()).leases.get('gate')?.fence;
    host.runner.broken.set('gate', new SightlineError('SOURCE_NO_VIDEO', 'gate: it holds no video frame'));
    await rig.pass(2 * BEAT_MS);
    expect(host.agent.streams()).toMatchObject([{ state: 'failed', failure: { code: 'SOURCE_NO_VIDEO' } }]);
    expect(host.runner.log).toEqual(['start gate', 'stop gate']);
    await rig.pass(30_000);
    expect(host.runner.log).toEqual(['start gate', 'stop gate', 'start gate']);
    expect(host.agent.streams()).toMatchObject([{ state: 'running', failure: null }]);
    expect((await rig.state.snapshot()).leases.get('gate')?.fence).toBe(fence);
    expect(rig.events.filter(({ kind }) => kind === 'stream-warning')).toHaveLength(1);
  });

  it('is restarted at once when its order changes', async () => {
    const { rig, host } = await oneRunning();
    host.runner.broken.set('gate', new SightlineError('SOURCE_NO_VIDEO', 'gate: it holds no video frame'));
    await rig.pass(2 * BEAT_MS);
    await changeOrder(rig.state, streamOrder('gate', { maxFps: 5 }));
    await rig.pass(BEAT_MS);
    expect(host.runner.running.get('gate')?.config.maxFps).toBe(5);
  });
});
