import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BeatReply } from '../../src/fleet/control/control-plane.ts';
import type { Assignment } from '../../src/wire/protocol/fleet.ts';
import { changeOrder } from '../support/fleet-world.ts';
import { card, type FleetRig, LEASE_MS, order, rigMakers } from './control-plane-rigs.ts';

const NOTHING: ReadonlyMap<string, number> = new Map();
const on = (hostId: string, more: Partial<Assignment> = {}): Assignment => ({
  hostId,
  maxFps: null,
  sinceMs: 5,
  ...more,
});

describe.each(rigMakers())('the state of a fleet in $name', (maker) => {
  let rig: FleetRig;

  beforeEach(async ({ skip }) => {
    if (maker.isSkipped) skip();
    rig = await maker.open();
  });
  afterEach(async () => rig?.close());
  afterAll(() => maker.close());

  const beat = (hostId: string, held = NOTHING, planRevision = 0): Promise<BeatReply> =>
    rig.state.beat({ card: card(hostId), held, planRevision });
  const claim = (streamId: string, hostId: string) => rig.state.claim(streamId, hostId);
  const put = (id: string) => rig.state.addOrder(order(id));
  const lead = async (...changes: [string, Assignment | null][]) => rig.state.assign('a', new Map(changes));

  describe('hosts', () => {
    it('are listed with the card of their last heartbeat, and removed after leaseMs without one', async () => {
      await rig.state.beat({ card: card('a', { liveFps: 1 }), held: NOTHING, planRevision: 0 });
      await rig.state.beat({ card: card('a', { liveFps: 2 }), held: NOTHING, planRevision: 0 });
      expect((await rig.state.snapshot()).hosts).toEqual([card('a', { liveFps: 2 })]);
      await rig.advance(LEASE_MS);
      expect((await rig.state.snapshot()).hosts).toEqual([]);
    });

    it('have unique ids: a second process is refused while the first is alive', async () => {
      await beat('a');
      const second = { card: card('a', { startedMs: 2 }), held: NOTHING, planRevision: 0 };
      await expect(rig.state.beat(second)).rejects.toMatchObject({ code: 'HOST_EXISTS' });
      await rig.advance(LEASE_MS);
      await rig.state.beat(second);
      await expect(beat('a')).rejects.toMatchObject({ code: 'HOST_EXISTS' });
    });

    it('need a valid card: a malformed one is refused and nothing is stored', async () => {
      const malformed = { ...card('a'), capacityFps: -1 };
      await expect(rig.state.beat({ card: malformed, held: NOTHING, planRevision: 0 })).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('capacityFps'),
      });
      expect((await rig.state.snapshot()).hosts).toEqual([]);
    });

    it('that leave are removed at once, and their leases are free', async () => {
      await put('s');
      await beat('a');
      await beat('b');
      const fence = await claim('s', 'a');
      await rig.state.leave('a', card('a').startedMs);
      expect((await rig.state.snapshot()).hosts.map(({ id }) => id)).toEqual(['b']);
      expect(await claim('s', 'b')).toBeGreaterThan(fence!);
      await rig.state.leave('a', card('a').startedMs);
    });

    it('that leave do not affect another process with their id', async () => {
      await put('s');
      await beat('a');
      const fence = (await claim('s', 'a'))!;
      await rig.state.leave('a', 2);
      expect((await beat('a', new Map([['s', fence]]))).lost).toEqual([]);
      expect((await rig.state.snapshot()).hosts).toHaveLength(1);
    });
  });

  describe('leases', () => {
    beforeEach(async () => {
      await put('s');
      await beat('a');
      await beat('b');
    });

    it('have one holder at a time, and a higher fence for each', async () => {
      const first = (await claim('s', 'a'))!;
      expect(await claim('s', 'b')).toBeNull();
      await rig.state.release('s', 'a', first);
      const second = (await claim('s', 'b'))!;
      expect(second).toBeGreaterThan(first);
      expect(await claim('s', 'a')).toBeNull();
    });

    it('are renewed by a heartbeat', async () => {
      const fence = (await claim('s', 'a'))!;
      for (let i = 0; i < 3; i++) {
        await rig.advance(LEASE_MS * 0.75);
        expect((await beat('a', new Map([['s', fence]]))).lost).toEqual([]);
      }
      await beat('b');
      expect(await claim('s', 'b')).toBeNull();
    });

    it('that expired are lost, even if unclaimed, and get a higher fence when claimed again', async () => {
      const fence = (await claim('s', 'a'))!;
      await rig.advance(LEASE_MS);
      expect((await rig.state.snapshot()).leases.get('s')).toMatchObject({ hostId: 'a', fence });
      expect((await beat('a', new Map([['s', fence]]))).lost).toEqual(['s']);
      expect(await claim('s', 'a')).toBeGreaterThan(fence);
    });

    it('claimed by another host are lost, and the new holder keeps them', async () => {
      const old = (await claim('s', 'a'))!;
      await rig.advance(LEASE_MS);
      await beat('b');
      const fence = (await claim('s', 'b'))!;
      expect((await beat('a', new Map([['s', old]]))).lost).toEqual(['s']);
      expect((await rig.state.snapshot()).leases.get('s')).toMatchObject({ hostId: 'b', fence });
    });

    it('with a wrong fence are lost', async () => {
      const fence = (await claim('s', 'a'))!;
      await rig.advance(LEASE_MS * 0.75);
      expect((await beat('a', new Map([['s', fence - 1]]))).lost).toEqual(['s']);
      await rig.advance(LEASE_MS * 0.5);
      await beat('b');
      expect(await claim('s', 'b')).toBeGreaterThan(fence);
    });

    it('expire with the card of their host, however late they were claimed', async () => {
      await rig.advance(LEASE_MS * 0.75);
      await beat('b');
      await claim('s', 'a');
      await rig.advance(LEASE_MS * 0.25);
      expect(await claim('s', 'b')).not.toBeNull();
    });

    it('claimed again by their holder get a new fence', async () => {
      const first = (await claim('s', 'a'))!;
      const second = (await claim('s', 'a'))!;
      expect(second).toBeGreaterThan(first);
      expect((await beat('a', new Map([['s', first]]))).lost).toEqual(['s']);
      expect((await beat('a', new Map([['s', second]]))).lost).toEqual([]);
    });

    it('are released once, and only by their holder', async () => {
      const fence = (await claim('s', 'a'))!;
      await rig.state.release('s', 'b', fence);
      await rig.state.release('s', 'a', fence - 1);
      expect(await claim('s', 'b')).toBeNull();
      await rig.state.release('s', 'a', fence);
      await rig.state.release('s', 'a', fence);
      const next = (await claim('s', 'b'))!;
      await rig.state.release('s', 'a', fence);
      expect((await rig.state.snapshot()).leases.get('s')).toMatchObject({ hostId: 'b', fence: next });
    });

    it('can be read one by one, including expired ones', async () => {
      const fence = (await claim('s', 'a'))!;
      await rig.advance(LEASE_MS);
      const leases = await rig.state.leases(['s', 'nobody']);
      expect([...leases.keys()]).toEqual(['s']);
      expect(leases).toEqual((await rig.state.snapshot()).leases);
      expect(leases.get('s')).toMatchObject({ hostId: 'a', fence });
      expect((await rig.state.leases([])).size).toBe(0);
    });

    it('require an existing stream and a live host', async () => {
      await expect(claim('other', 'a')).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
      await expect(claim('s', 'nobody')).rejects.toMatchObject({ code: 'HOST_NOT_FOUND' });
      await rig.advance(LEASE_MS);
      await expect(claim('s', 'a')).rejects.toMatchObject({ code: 'HOST_NOT_FOUND' });
    });

    it('are removed with their stream; a new stream with the same id gets higher fences', async () => {
      const fence = (await claim('s', 'a'))!;
      await rig.state.removeOrder('s');
      expect((await rig.state.snapshot()).leases.size).toBe(0);
      await put('s');
      expect((await beat('a', new Map([['s', fence]]))).lost).toEqual(['s']);
      expect(await claim('s', 'b')).toBeGreaterThan(fence);
    });

    it('of many streams are renewed in one heartbeat', async () => {
      const held = new Map<string, number>();
      for (let i = 0; i < 50; i++) {
        await put(`many-${i}`);
        held.set(`many-${i}`, (await claim(`many-${i}`, 'a'))!);
      }
      const stolen = new Map([...held, ['s', 1]]);
      await rig.advance(LEASE_MS * 0.75);
      expect((await beat('a', stolen)).lost).toEqual(['s']);
      await rig.advance(LEASE_MS * 0.75);
      expect((await beat('a', held)).lost).toEqual([]);
    });
  });

  describe('the leader', () => {
    it('is one host until its heartbeats stop', async () => {
      expect((await beat('a')).isLeader).toBe(true);
      expect((await beat('b')).isLeader).toBe(false);
      await rig.advance(LEASE_MS * 0.75);
      expect((await beat('a')).isLeader).toBe(true);
      await rig.advance(LEASE_MS * 0.75);
      expect((await beat('b')).isLeader).toBe(false);
      await rig.advance(LEASE_MS * 0.25);
      expect((await beat('b')).isLeader).toBe(true);
      expect((await beat('a')).isLeader).toBe(false);
    });

    it('that leaves is replaced at the next heartbeat of another host', async () => {
      await beat('a');
      await rig.state.leave('a', card('a').startedMs);
      expect((await beat('b')).isLeader).toBe(true);
    });

    it('is the only host that can assign', async () => {
      await put('s');
      await beat('a');
      await beat('b');
      expect(await rig.state.assign('b', new Map([['s', on('b')]]))).toBe(false);
      expect(await lead(['s', on('a')])).toBe(true);
      await rig.advance(LEASE_MS);
      expect(await lead(['s', on('b')])).toBe(false);
      expect(await rig.state.assign('nobody', new Map([['s', on('b')]]))).toBe(false);
      expect((await rig.state.snapshot()).assignments).toEqual(new Map([['s', on('a')]]));
    });
  });

  describe('plans', () => {
    beforeEach(async () => {
      await put('s');
      await put('t');
      await beat('a');
      await beat('b');
    });

    const planOf = async (hostId: string, planRevision = 0) => (await beat(hostId, NOTHING, planRevision)).plan;

    it('reach their host once, with the current orders', async () => {
      await lead(['s', on('b', { maxFps: 7.5 })]);
      const reply = await beat('b');
      const stored = (await rig.state.snapshot()).orders.find(({ id }) => id === 's');
      expect(reply.plan).toEqual(new Map([['s', { order: stored, assignment: on('b', { maxFps: 7.5 }) }]]));
      expect(await planOf('b', reply.planRevision)).toBeNull();
      expect(await planOf('a')).toBeNull();
      expect(await planOf('b'), 'a host that knows nothing gets the plan again').toEqual(reply.plan);
    });

    it('are sent again to the affected hosts when an order, a rate or a host changes', async () => {
      await lead(['s', on('a')], ['t', on('b')]);
      let a = await beat('a');
      let b = await beat('b');
      await changeOrder(rig.state, order('s', { isPaused: true }));
      expect(await planOf('b', b.planRevision)).toBeNull();
      a = await beat('a', NOTHING, a.planRevision);
      expect(a.plan?.get('s')?.order.isPaused).toBe(true);

      await lead(['s', on('a', { maxFps: 3 })]);
      a = await beat('a', NOTHING, a.planRevision);
      expect(a.plan?.get('s')?.assignment.maxFps).toBe(3);

      await lead(['s', on('b')]);
      a = await beat('a', NOTHING, a.planRevision);
      b = await beat('b', NOTHING, b.planRevision);
      expect(a.plan).toEqual(new Map());
      expect([...(b.plan?.keys() ?? [])].sort()).toEqual(['s', 't']);

      await lead(['t', null]);
      b = await beat('b', NOTHING, b.planRevision);
      expect([...(b.plan?.keys() ?? [])]).toEqual(['s']);

      await rig.state.removeOrder('s');
      expect(await planOf('b', b.planRevision)).toEqual(new Map());
      expect((await rig.state.snapshot()).assignments.size).toBe(0);
    });

    it('that are assigned twice change nothing the second time', async () => {
      await lead(['s', on('b')]);
      const { planRevision } = await beat('b');
      await lead(['s', on('b')], ['t', null]);
      expect(await planOf('b', planRevision)).toBeNull();
    });

    it('skip streams that were removed meanwhile', async () => {
      await rig.state.removeOrder('t');
      expect(await lead(['s', on('a')], ['t', on('a')])).toBe(true);
      expect([...(await rig.state.snapshot()).assignments.keys()]).toEqual(['s']);
    });

    it('survive their host: a stream stays assigned until the leader decides', async () => {
      await lead(['s', on('b')]);
      await rig.advance(LEASE_MS);
      expect((await rig.state.snapshot()).assignments.get('s')).toEqual(on('b'));
      expect([...((await planOf('b')) ?? new Map()).keys()]).toEqual(['s']);
    });

    it('are all validated before any is written', async () => {
      const wrong = { ...on('b'), maxFps: -1 };
      await expect(lead(['s', on('a')], ['t', wrong])).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
      expect((await rig.state.snapshot()).assignments.size).toBe(0);
    });
  });

  describe('draining', () => {
    it('is reported with the next heartbeat, and can be undone', async () => {
      await beat('a');
      await beat('b');
      await rig.state.setDraining('a', true);
      await rig.state.setDraining('a', true);
      expect((await beat('a')).isDraining).toBe(true);
      expect((await beat('b')).isDraining).toBe(false);
      expect((await rig.state.snapshot()).draining).toEqual(new Set(['a']));
      await rig.state.setDraining('a', false);
      expect((await beat('a')).isDraining).toBe(false);
    });

    it('survives a crash of the host, and ends when it leaves', async () => {
      await beat('a');
      await rig.state.setDraining('a', true);
      await rig.advance(LEASE_MS);
      expect((await beat('a')).isDraining).toBe(true);
      await rig.state.leave('a', card('a').startedMs);
      expect((await beat('a')).isDraining).toBe(false);
    });

    it('requires an existing host', async () => {
      await expect(rig.state.setDraining('a', true)).rejects.toMatchObject({ code: 'HOST_NOT_FOUND' });
    });
  });

  describe('orders', () => {
    it('are stored unchanged, and each change has a higher revision', async () => {
      const first = await put('s');
      expect(first).toEqual({ ...order('s'), revision: first.revision });
      const second = await changeOrder(rig.state, order('s', { wantedHost: 'b' }));
      expect(second.revision).toBeGreaterThan(first.revision);
      const { orders } = await rig.state.snapshot();
      expect(orders).toEqual([{ ...order('s', { wantedHost: 'b' }), revision: second.revision }]);
      expect((await rig.state.snapshot()).orders).toEqual(orders);
    });

    it('are replaced only by a change that was made from the newest revision', async () => {
      const first = await put('s');
      const paused = await rig.state.replaceOrder({ ...first, isPaused: true });
      expect(paused).toMatchObject({ isPaused: true });
      expect(paused!.revision).toBeGreaterThan(first.revision);
      // Made from the first order, so it would end the pause.
      expect(await rig.state.replaceOrder({ ...first, wantedHost: 'b' })).toBeNull();
      expect((await rig.state.snapshot()).orders).toEqual([paused]);
      const moved = await rig.state.replaceOrder({ ...paused!, wantedHost: 'b' });
      expect(moved).toMatchObject({ isPaused: true, wantedHost: 'b' });
      expect((await rig.state.snapshot()).orders).toEqual([moved]);
    });

    it('that are replaced by many at once keep exactly one of the changes', async () => {
      const first = await put('s');
      const hosts = ['a', 'b', 'c', 'd', 'e'];
      const written = await Promise.all(hosts.map((wantedHost) => rig.state.replaceOrder({ ...first, wantedHost })));
      const successes = written.filter((each) => each !== null);
      expect(successes).toHaveLength(1);
      expect((await rig.state.snapshot()).orders).toEqual(successes);
    });

    it('that were removed and added again are no longer the ones that an older change was made from', async () => {
      const first = await put('s');
      await rig.state.removeOrder('s');
      await expect(rig.state.replaceOrder(first)).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
      const again = await put('s');
      expect(await rig.state.replaceOrder({ ...first, isPaused: true })).toBeNull();
      expect((await rig.state.snapshot()).orders).toEqual([again]);
    });

    it('distinguish new from known streams', async () => {
      await put('s');
      await expect(put('s')).rejects.toMatchObject({ code: 'STREAM_EXISTS' });
      await expect(changeOrder(rig.state, order('t'))).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
      expect((await rig.state.snapshot()).orders).toHaveLength(1);
      await rig.state.removeOrder('s');
      await expect(rig.state.removeOrder('s')).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
      expect((await rig.state.snapshot()).orders).toEqual([]);
    });

    it('that are malformed are refused, without showing a password', async () => {
      const malformed = { ...order('s'), config: { ...order('s').config, source: 5 } } as never;
      const refusal = await rig.state.addOrder(malformed).catch((error: Error) => error);
      expect(refusal).toMatchObject({ code: 'CONFIG_INVALID' });
      expect((await rig.state.snapshot()).orders).toEqual([]);
    });
  });
});
