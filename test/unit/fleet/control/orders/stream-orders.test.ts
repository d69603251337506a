import { describe, expect, it } from 'vitest';
import { SightlineError } from '../../../../../src/base/errors/sightline-error.ts';
import type { ControlPlane } from '../../../../../src/fleet/control/control-plane.ts';
import { MemoryBus } from '../../../../../src/fleet/control/memory/memory-bus.ts';
import { StreamOrders, tagOf } from '../../../../../src/fleet/control/orders/stream-orders.ts';
import { StoredState } from '../../../../../src/fleet/control/state/stored-state.ts';
import { MemoryStore } from '../../../../../src/fleet/control/store/memory-store.ts';
import type { StreamOrder } from '../../../../../src/wire/protocol/fleet.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';

const CAMERA = { id: 'gate', source: 'rtsp://camera.example/gate', pipeline: 'street' };

/** Orders whose checks take as long as the test wants, as one that resolves the name of a host does. */
async function slowOrders() {
  const state = new StoredState({ store: new MemoryStore(new ManualClock()), leaseMs: 5_000 });
  let release = (): void => {};
  let onWaiting = (): void => {};
  let isSlow = false;
  const admit = async (): Promise<void> => {
    if (!isSlow) return;
    isSlow = false;
    await new Promise<void>((resolve) => {
      release = resolve;
      onWaiting();
    });
  };
  const control = { state, bus: new MemoryBus() } as unknown as ControlPlane;
  const orders = new StreamOrders({ control, sender: 'test', pipeline: 'street', defaults: {}, admit });
  await orders.add(CAMERA);
  /** Makes the next check of a source wait until it is released. */
  const slow = (): { readonly reached: Promise<void>; release(): void } => {
    const reached = new Promise<void>((resolve) => {
      onWaiting = resolve;
    });
    isSlow = true;
    return { reached, release: () => release() };
  };
  return {
    orders,
    state,
    stored: async (): Promise<StreamOrder> => (await state.snapshot()).orders[0]!,
    slow,
    /** Begins a change of the source, whose check waits until `meanwhile` has ended. */
    during: async (meanwhile: () => Promise<unknown>): Promise<StreamOrder> => {
      const check = slow();
      const change = orders.change('gate', { source: 'rtsp://camera.example/other' });
      await check.reached;
      await meanwhile();
      check.release();
      return change;
    },
  };
}

describe('two changes of a stream at once', () => {
  it('both hold: a changed setting does not end the pause that came meanwhile', async () => {
    const { orders, stored, during } = await slowOrders();
    await during(() => orders.setPaused('gate', true));
    expect(await stored()).toMatchObject({ isPaused: true, config: { source: 'rtsp://camera.example/other' } });
  });

  it('both hold: two different settings', async () => {
    const { orders, stored, during } = await slowOrders();
    await during(() => orders.change('gate', { priority: 7 }));
    expect((await stored()).config).toMatchObject({ priority: 7, source: 'rtsp://camera.example/other' });
  });

  it('a change of a stream that is removed meanwhile fails', async () => {
    const { orders, state, during } = await slowOrders();
    await expect(during(() => orders.remove('gate'))).rejects.toMatchObject({ code: 'STREAM_NOT_FOUND' });
    expect((await state.snapshot()).orders).toEqual([]);
  });

  it('twenty changes at once all hold', async () => {
    const { orders, stored } = await slowOrders();
    const priorities = orders.change('gate', { priority: 3 });
    const pauses = Array.from({ length: 9 }, (_, i) => orders.setPaused('gate', i % 2 === 0));
    const weights = Array.from({ length: 10 }, (_, i) => orders.change('gate', { weight: i + 1 }));
    await Promise.all([priorities, ...pauses, ...weights]);
    expect((await stored()).config.priority).toBe(3);
  });

  it('that never find the same order twice give up with an error', async () => {
    const { orders, state } = await slowOrders();
    state.replaceOrder = async () => null;
    await expect(orders.change('gate', { priority: 1 })).rejects.toMatchObject({ code: 'STREAM_STATE' });
  });
});

describe('a change that expects the order as it was read', () => {
  const expecting = (wanted: string) => (tag: string) => {
    if (tag !== wanted) throw new SightlineError('STREAM_CHANGED', 'stale');
  };

  it('is made if nobody changed it, and refused afterwards', async () => {
    const { orders, stored } = await slowOrders();
    const tag = tagOf(await stored());
    await orders.change('gate', { priority: 1 }, { check: expecting(tag) });
    expect(tagOf(await stored())).not.toBe(tag);
    const stale = { check: expecting(tag) };
    await expect(orders.change('gate', { priority: 2 }, stale)).rejects.toMatchObject({ code: 'STREAM_CHANGED' });
    await expect(orders.remove('gate', stale.check)).rejects.toMatchObject({ code: 'STREAM_CHANGED' });
    expect((await stored()).config.priority).toBe(1);
  });

  it('is refused if another change came while it was checked', async () => {
    const { orders, stored, slow } = await slowOrders();
    const check = slow();
    const change = orders.change(
      'gate',
      { source: 'rtsp://camera.example/other' },
      { check: expecting(tagOf(await stored())) },
    );
    await check.reached;
    await orders.setPaused('gate', true);
    check.release();
    await expect(change).rejects.toMatchObject({ code: 'STREAM_CHANGED' });
    expect((await stored()).config.source).toBe(CAMERA.source);
  });

  it('can replace all settings', async () => {
    const { orders, stored } = await slowOrders();
    await orders.change('gate', { maxFps: 3 });
    await orders.change('gate', { source: CAMERA.source }, { isWhole: true });
    expect((await stored()).config.maxFps).toBeUndefined();
  });
});
