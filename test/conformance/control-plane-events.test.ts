import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KeptEvent } from '../../src/wire/protocol/fleet.ts';
import { ruleEvent } from '../support/rule-events.ts';
import { card, type FleetRig, LEASE_MS, order, rigMakers } from './control-plane-rigs.ts';

const open: KeptEvent = { isSent: true, records: [ruleEvent('e1', 0, 'new')] };
const unsent: KeptEvent = { isSent: false, records: [ruleEvent('e2', 0, 'new'), ruleEvent('e2', 1, 'end')] };

describe.each(rigMakers())('events of a fleet in $name', (maker) => {
  let rig: FleetRig;
  let fence: number;

  beforeEach(async () => {
    if (maker.isSkipped) return;
    rig = await maker.open();
    await rig.state.addOrder(order('s'));
    for (const host of ['a', 'b']) await beat(host);
    fence = (await rig.state.claim('s', 'a'))!;
  });
  afterEach(() => rig?.close());
  afterAll(() => maker.close());

  const beat = (host: string, held: readonly [string, number][] = []) =>
    rig.state.beat({ card: card(host), held: new Map(held), planRevision: 0 });
  const keep = (host: string, by: number, ...changes: [string, KeptEvent | null][]): Promise<boolean> =>
    rig.events.keep('s', host, by, new Map(changes));

  it.skipIf(maker.isSkipped)('are kept, replaced and removed by the holder of the lease', async () => {
    expect(await keep('a', fence, ['e1', open], ['e2', unsent])).toBe(true);
    const kept = await rig.events.kept('s');
    expect([...kept.keys()].sort()).toEqual(['e1', 'e2']);
    expect(kept.get('e1')).toMatchObject(open);
    expect(kept.get('e2')).toMatchObject(unsent);
    const newer = { isSent: true, records: [ruleEvent('e1', 1, 'update', { path: [[0.5, 0.5]] })] };
    expect(await keep('a', fence, ['e1', newer], ['e2', null])).toBe(true);
    expect([...(await rig.events.kept('s'))].map(([id, event]) => [id, event?.records])).toEqual([
      ['e1', newer.records],
    ]);
    expect((await rig.events.kept('t')).size).toBe(0);
  });

  it.skipIf(maker.isSkipped)('are refused from all who do not hold the lease, and nothing is written', async () => {
    expect(await keep('b', fence, ['e1', open])).toBe(false);
    expect(await keep('a', fence - 1, ['e1', open])).toBe(false);
    await rig.advance(LEASE_MS);
    expect(await keep('a', fence, ['e1', open])).toBe(false);
    await beat('b');
    const next = (await rig.state.claim('s', 'b'))!;
    expect(await keep('a', fence, ['e1', open])).toBe(false);
    await rig.state.release('s', 'b', next);
    expect(await keep('b', next, ['e1', open])).toBe(false);
    expect((await rig.events.kept('s')).size).toBe(0);
  });

  it.skipIf(maker.isSkipped)('are accepted while heartbeats renew the lease at the same time', async () => {
    const written = await Promise.all(
      Array.from({ length: 20 }, (_, i) => [
        keep('a', fence, [`e${i}`, { isSent: true, records: [ruleEvent(`e${i}`, 0, 'new')] }]),
        beat('a', [['s', fence]]),
      ]).flat(),
    );
    expect(written).not.toContain(false);
    expect((await rig.events.kept('s')).size).toBe(20);
  });

  it.skipIf(maker.isSkipped)('survive their host, and the next holder finds them', async () => {
    await keep('a', fence, ['e1', open]);
    await rig.advance(LEASE_MS);
    await beat('b');
    const next = (await rig.state.claim('s', 'b'))!;
    expect((await rig.events.kept('s')).get('e1')).toMatchObject(open);
    expect(await keep('b', next, ['e1', null])).toBe(true);
    expect((await rig.events.kept('s')).size).toBe(0);
  });

  it.skipIf(maker.isSkipped)('of a removed stream are ended by whoever gets its lease', async () => {
    await keep('a', fence, ['e1', open]);
    await rig.state.removeOrder('s');
    // Its host still holds the lease, and can end them.
    expect(await beat('a', [['s', fence]])).toMatchObject({ lost: [], ending: ['s'] });
    expect(await rig.state.claim('s', 'b')).toBeNull();
    await rig.advance(LEASE_MS);
    expect(await beat('b')).toMatchObject({ ending: ['s'] });
    const other = card('c', { pipeline: 'another' });
    expect(await rig.state.beat({ card: other, held: new Map(), planRevision: 0 })).toMatchObject({ ending: [] });
    const next = (await rig.state.claim('s', 'b'))!;
    // Released too early, so that the next one tries.
    await rig.state.release('s', 'b', next);
    expect(await beat('b')).toMatchObject({ ending: ['s'] });
    const last = (await rig.state.claim('s', 'b'))!;
    await keep('b', last, ['e1', null]);
    await rig.state.release('s', 'b', last);
    expect(await beat('b')).toMatchObject({ ending: [] });
    await expect(rig.state.claim('s', 'b')).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
    expect((await rig.state.snapshot()).leases.size).toBe(0);
  });

  it.skipIf(maker.isSkipped)('say if their stream is wanted: ordered, and not paused', async () => {
    expect(await rig.events.isWanted('s')).toBe(true);
    const { orders } = await rig.state.snapshot();
    await rig.state.replaceOrder({ ...orders[0]!, isPaused: true });
    expect(await rig.events.isWanted('s')).toBe(false);
    expect(await rig.events.isWanted('none')).toBe(false);
  });
});
