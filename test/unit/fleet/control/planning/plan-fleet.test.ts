import { describe, expect, it } from 'vitest';
import { PLAN_DEFAULTS, type PlanOptions } from '../../../../../src/fleet/control/planning/plan-options.ts';
import { FleetWorld, hostCard, streamOrder } from '../../../../support/fleet-world.ts';

const OPTIONS: PlanOptions = { ...PLAN_DEFAULTS, fillRatio: 0.8, movesPerSecond: 1000, settleMs: 0 };

function world(options: Partial<PlanOptions> = {}): FleetWorld {
  return new FleetWorld({ ...OPTIONS, ...options });
}

/** `count` streams that want 10 inferences/s each. */
function tens(count: number, prefix = 's', settings: Readonly<Record<string, unknown>> = {}) {
  return Array.from({ length: count }, (_, i) => streamOrder(`${prefix}${i}`, { maxFps: 10, ...settings }));
}

describe('a fleet with room', () => {
  it('spreads streams by relative load, within fillRatio of each capacity', () => {
    const fleet = world()
      .addHosts(hostCard('small', 50), hostCard('large', 150))
      .addOrders(...tens(16));
    fleet.plan();
    expect([fleet.loadOf('small'), fleet.loadOf('large')]).toEqual([40, 120]);
  });

  it('takes what a stream wants from maxFps, else its target, else 25 divided by every', () => {
    const fleet = world({ fillRatio: 1 }).addHosts(hostCard('a', 1000));
    fleet.addOrders(
      streamOrder('capped', { maxFps: 12, every: 2 }),
      streamOrder('aimed', { target: { fps: 8 } }),
      streamOrder('plain'),
      streamOrder('fifth', { every: 5 }),
    );
    fleet.plan();
    expect(['capped', 'aimed', 'plain', 'fifth'].map((id) => fleet.rateOf(id))).toEqual([12, 8, 25, 5]);
  });

  it('gives streams only to hosts of their pipeline, and reports if there are none', () => {
    const fleet = world()
      .addHosts(hostCard('a', 100, { pipeline: 'faces' }))
      .addOrders(...tens(1));
    const { refused, notes } = fleet.plan();
    expect(fleet.hostOf('s0')).toBeNull();
    expect(refused.get('s0')).toBe('no host runs pipeline "street"');
    expect(notes.filter(({ kind }) => kind === 'stream-refused').map(({ stream }) => stream)).toEqual(['s0']);
    expect(notes.at(-1)?.message).toBe('no stream of pipeline "street" runs: no host runs pipeline "street"');
  });

  it('gives a stream only to hosts that have the detectors that it names; without one it presses nobody', () => {
    const fleet = world()
      .addHosts(hostCard('plain', 1000), hostCard('night', 100, { models: ['night', 'far'] }))
      .addOrders(
        ...tens(3, 'n', { model: 'night' }),
        ...tens(2, 'w', { modelWhen: [{ model: 'far', times: { on: ['daily 20:00-06:00'] } }] }),
        ...tens(4),
      );
    fleet.addOrders(streamOrder('fog', { maxFps: 10, model: 'fog', priority: 5 }));
    const { refused } = fleet.plan();
    expect(['n0', 'n1', 'n2', 'w0', 'w1'].map((id) => fleet.hostOf(id))).toEqual(Array(5).fill('night'));
    expect(['s0', 's1', 's2', 's3'].map((id) => fleet.hostOf(id))).toEqual(Array(4).fill('plain'));
    expect(['s0', 'n0'].map((id) => fleet.rateOf(id))).toEqual([10, 10]);
    expect([...refused]).toEqual([['fog', 'no ready host of pipeline "street" has the detectors that it names: fog']]);
    expect(fleet.hostOf('fog')).toBeNull();

    // As full as it can be: what it alone can run stays.
    fleet.addOrders(...tens(3, 'more', { model: 'night' }));
    fleet.plan();
    expect(fleet.loadOf('night')).toBe(80);
    fleet.addHosts(hostCard('fog', 100, { models: ['fog'] }));
    fleet.plan();
    expect(fleet.hostOf('fog')).toBe('fog');
  });

  it('leaves a stream where it is until all hosts may have come back, though none has its detector yet', () => {
    const fleet = world({ settleMs: 10_000 })
      .addHosts(hostCard('a', 100, { models: ['night'] }))
      .addOrders(...tens(1, 'n', { model: 'night' }));
    fleet.plan();
    expect(fleet.hostOf('n0')).toBe('a');
  });

  it('changes nothing when nothing changed, and reports a refusal once', () => {
    const fleet = world()
      .addHosts(hostCard('a', 100), hostCard('b', 70))
      .addOrders(...tens(40));
    fleet.plan();
    const { changes, notes } = fleet.pass(1);
    expect([changes.size, notes]).toEqual([0, []]);
  });

  it('moves nothing when a host joins and load is not far apart', () => {
    const fleet = world()
      .addHosts(hostCard('a', 100))
      .addOrders(...tens(2));
    fleet.plan();
    fleet.addHosts(hostCard('b', 100));
    fleet.pass(60);
    expect([fleet.hostOf('s0'), fleet.hostOf('s1')]).toEqual(['a', 'a']);
  });

  it('balances load that is far apart, one stream every five seconds', () => {
    const fleet = world()
      .addHosts(hostCard('a', 100))
      .addOrders(...tens(8));
    fleet.plan();
    fleet.addHosts(hostCard('b', 100));
    const loads = [6, 5, 5, 60].map((seconds) => {
      fleet.pass(seconds);
      return fleet.loadOf('b');
    });
    expect(loads).toEqual([10, 20, 30, 30]);
  });

  it('removes paused and removed streams from their hosts', () => {
    const fleet = world()
      .addHosts(hostCard('a', 100))
      .addOrders(...tens(3));
    fleet.plan();
    fleet.addOrders(streamOrder('s0', { maxFps: 10 }, { isPaused: true }));
    fleet.orders.delete('s1');
    expect(fleet.plan().changes).toEqual(
      new Map([
        ['s0', null],
        ['s1', null],
      ]),
    );
  });
});

describe('an operator', () => {
  it('gets a stream onto the chosen host while that host is ready', () => {
    const fleet = world()
      .addHosts(hostCard('a', 100), hostCard('b', 100))
      .addOrders(...tens(2));
    fleet.plan();
    const other = fleet.hostOf('s0') === 'a' ? 'b' : 'a';
    fleet.addOrders(streamOrder('s0', { maxFps: 10 }, { wantedHost: other }));
    const { notes } = fleet.pass(1);
    expect(fleet.hostOf('s0')).toBe(other);
    expect(notes[0]?.message).toContain('an operator wants it there');
    fleet.draining.add(other);
    fleet.pass(1);
    expect(fleet.hostOf('s0')).not.toBe(other);
  });

  it('gets a stream onto a full host too: others make room', () => {
    const fleet = world()
      .addHosts(hostCard('a', 50), hostCard('b', 50))
      .addOrders(...tens(7));
    fleet.plan();
    const id = [...fleet.orders.keys()].find((one) => fleet.hostOf(one) === 'b')!;
    fleet.addOrders(streamOrder(id, { maxFps: 10 }, { wantedHost: 'a' }));
    fleet.pass(3);
    expect([fleet.hostOf(id), fleet.loadOf('a'), fleet.loadOf('b')]).toEqual(['a', 40, 30]);
    expect([...fleet.orders.keys()].map((one) => fleet.rateOf(one))).toEqual(Array(7).fill(10));
  });

  it('can swap the streams of two full hosts: one has no host for a round', () => {
    const fleet = world().addHosts(hostCard('a', 50), hostCard('b', 50));
    const wanting = (id: string, wantedHost: string) => streamOrder(id, { maxFps: 40 }, { wantedHost });
    fleet.addOrders(wanting('x', 'a'), wanting('y', 'b'));
    fleet.plan();
    fleet.addOrders(wanting('x', 'b'), wanting('y', 'a'));
    fleet.pass(3);
    expect([fleet.hostOf('x'), fleet.hostOf('y')]).toEqual(['b', 'a']);
  });

  it('drains a host of a dozen streams within two rounds at ten moves a second', () => {
    const fleet = world({ movesPerSecond: 10 })
      .addHosts(hostCard('a', 200))
      .addOrders(...tens(12));
    fleet.pass(3);
    fleet.addHosts(hostCard('b', 200));
    fleet.draining.add('a');
    fleet.pass(1);
    expect([fleet.loadOf('a'), fleet.loadOf('b')]).toEqual([20, 100]);
    fleet.pass(1);
    expect([fleet.loadOf('a'), fleet.loadOf('b')]).toEqual([0, 120]);
  });
});

describe('a host that is gone', () => {
  it('loses its streams to others, highest priority first, at the limited rate', () => {
    const fleet = world({ movesPerSecond: 2 }).addHosts(hostCard('a', 100));
    fleet.addOrders(...tens(3, 'low'), ...tens(3, 'high', { priority: 5 }));
    fleet.pass(5);
    fleet.addHosts(hostCard('b', 100));
    fleet.hosts.delete('a');
    const moved = [1, 1, 1].map((seconds) => [...fleet.pass(seconds).changes.keys()].sort());
    expect(moved).toEqual([
      ['high0', 'high1'],
      ['high2', 'low0'],
      ['low1', 'low2'],
    ]);
  });

  it('has its streams placed before running streams are moved', () => {
    const fleet = world({ movesPerSecond: 1 }).addHosts(hostCard('a', 100), hostCard('b', 100), hostCard('c', 100));
    fleet.addOrders(
      streamOrder('dead', { maxFps: 10 }, { wantedHost: 'a' }),
      streamOrder('drained', { maxFps: 10, priority: 50 }, { wantedHost: 'b' }),
    );
    fleet.pass(3);
    fleet.hosts.delete('a');
    fleet.draining.add('b');
    expect([...fleet.pass(1).changes.keys()]).toEqual(['dead']);
    expect([...fleet.pass(1).changes.keys()]).toEqual(['drained']);
  });

  it('is reported, and so is one that joins', () => {
    const fleet = world().addHosts(hostCard('a', 100));
    fleet.plan();
    fleet.hosts.delete('a');
    fleet.addHosts(hostCard('b', 40));
    expect(fleet.pass(1).notes.map(({ kind, message }) => [kind, message])).toEqual([
      ['host-joined', 'host b joined: 40 inferences/s for pipeline "street"'],
      ['host-lost', 'host a left'],
    ]);
  });
});

describe('a full fleet', () => {
  it('lowers the rates of the lowest priority evenly and refuses no stream', () => {
    const fleet = world().addHosts(hostCard('a', 100), hostCard('b', 100));
    fleet.addOrders(...tens(8, 'low'), ...tens(10, 'high', { priority: 1 }));
    const { refused, notes } = fleet.plan();
    expect(refused.size).toBe(0);
    expect(new Set(tens(8, 'low').map(({ id }) => fleet.rateOf(id)))).toEqual(new Set([7]));
    expect(new Set(tens(10, 'high').map(({ id }) => fleet.rateOf(id)))).toEqual(new Set([10]));
    expect(notes.filter(({ kind }) => kind === 'stream-reduced')).toHaveLength(8);
    expect(notes.find(({ kind }) => kind === 'fleet-full')?.message).toBe(
      'pipeline "street" is full: of 18 streams 8 run at a lower rate and 0 do not run',
    );
  });

  it('continues with the next priority once the lowest is at its floor', () => {
    const fleet = world()
      .addHosts(hostCard('a', 100))
      .addOrders(...tens(4, 'low'), ...tens(10, 'high', { priority: 1 }));
    fleet.plan();
    expect([fleet.rateOf('low0'), fleet.rateOf('high0')]).toEqual([1, 7]);
  });

  it('refuses the lowest priorities only when everything is at its floor', () => {
    const fleet = world().addHosts(hostCard('a', 20));
    fleet.addOrders(...tens(10, 'low'), ...tens(10, 'high', { priority: 1 }));
    const { refused } = fleet.plan();
    expect([...refused.keys()]).toEqual(['low6', 'low7', 'low8', 'low9']);
    expect(new Set([...fleet.assignments.keys()].map((id) => fleet.rateOf(id)))).toEqual(new Set([1]));
    expect(fleet.loadOf('a')).toBe(16);
  });

  it('lets a new stream of high priority replace one of low priority', () => {
    const fleet = world()
      .addHosts(hostCard('a', 1.25))
      .addOrders(streamOrder('low', { maxFps: 1 }));
    fleet.plan();
    fleet.addOrders(streamOrder('high', { maxFps: 1, priority: 9 }));
    fleet.pass(2);
    expect([fleet.hostOf('low'), fleet.hostOf('high')]).toEqual([null, 'a']);
  });

  it('never lowers a stream below 1 frame/s, nor reduces one that wants less', () => {
    const fleet = world({ fillRatio: 1 }).addHosts(hostCard('a', 4));
    fleet.addOrders(streamOrder('slow', { maxFps: 0.5 }));
    for (const id of ['x', 'y', 'z']) fleet.addOrders(streamOrder(id, { maxFps: 3 }));
    fleet.plan();
    expect(['slow', 'x', 'y', 'z'].map((id) => fleet.rateOf(id))).toEqual([0.5, 1, 1, 1]);
    fleet.addHosts(hostCard('a', 3.2));
    const { refused } = fleet.pass(1);
    expect([...refused.keys()]).toEqual(['slow']);
  });

  it('packs streams together rather than lowering rates', () => {
    const fleet = world({ fillRatio: 1 })
      .addHosts(hostCard('a', 100), hostCard('b', 100))
      .addOrders(...tens(8));
    fleet.plan();
    expect([fleet.loadOf('a'), fleet.loadOf('b')]).toEqual([40, 40]);
    fleet.addOrders(streamOrder('large', { maxFps: 100, priority: 1 }));
    fleet.pass(3);
    expect(fleet.rateOf('large')).toBe(100);
    expect(fleet.rateOf('s0')).toBe(10);
  });

  it('limits a stream that wants more than any host has to one host, and does not reduce others for it', () => {
    const fleet = world().addHosts(hostCard('a', 100), hostCard('b', 100));
    fleet.addOrders(streamOrder('huge', { maxFps: 500, priority: 1 }), ...tens(2));
    fleet.plan();
    expect([fleet.rateOf('huge'), fleet.rateOf('s0'), fleet.rateOf('s1')]).toEqual([80, 10, 10]);
  });

  it('raises rates in one step some time after room returns, after the moves', () => {
    const fleet = world()
      .addHosts(hostCard('a', 100))
      .addOrders(...tens(16));
    fleet.plan();
    expect(fleet.rateOf('s0')).toBe(5);
    fleet.addHosts(hostCard('b', 120));
    fleet.pass(9);
    expect(fleet.rateOf('s0')).toBe(5);
    const seen = Array.from({ length: 10 }, () => {
      fleet.pass(1);
      return fleet.rateOf('s0');
    });
    expect(new Set(seen)).toEqual(new Set([5, 10]));
    const restored = fleet.memory?.pipelines.get('street');
    expect([restored?.rateCut, fleet.rateOf('s15')]).toEqual([null, 10]);
  });

  it('does not raise rates if that leaves no margin', () => {
    const fleet = world()
      .addHosts(hostCard('a', 100))
      .addOrders(...tens(8), streamOrder('extra', { maxFps: 2 }));
    fleet.plan();
    expect(fleet.rateOf('s0')).toBe(9);
    fleet.orders.delete('extra');
    fleet.pass(60);
    expect(fleet.rateOf('s0')).toBe(9);
    fleet.orders.delete('s7');
    fleet.pass(20);
    expect(fleet.rateOf('s0')).toBe(10);
  });

  it('still changes rates after the clock of the control plane was set back', () => {
    const fleet = world({ settleMs: 2000 })
      .addHosts(hostCard('a', 100))
      .addOrders(...tens(8));
    fleet.pass(5);
    fleet.nowMs -= 3_600_000;
    fleet.addOrders(...tens(8, 't'));
    fleet.pass(1);
    expect(fleet.rateOf('s0')).toBe(5);
    fleet.addHosts(hostCard('b', 120));
    fleet.pass(20);
    expect(fleet.rateOf('s0')).toBe(10);
  });

  it('keeps its rates under a new leader', () => {
    const fleet = world().addHosts(hostCard('a', 100));
    fleet.addOrders(...tens(4, 'low'), ...tens(10, 'high', { priority: 1 }));
    fleet.plan();
    fleet.memory = null;
    expect(fleet.pass(1).changes.size).toBe(0);
  });
});

it('a new leader neither lowers rates nor refuses streams before hosts had time to join', () => {
  const fleet = world({ settleMs: 2000 })
    .addHosts(hostCard('a', 100))
    .addOrders(...tens(16));
  const first = fleet.plan();
  expect([first.refused.size, fleet.rateOf('s0'), fleet.loadOf('a')]).toEqual([0, 10, 80]);
  fleet.addHosts(hostCard('b', 100));
  fleet.pass(1);
  expect([fleet.loadOf('a'), fleet.loadOf('b')]).toEqual([80, 80]);
});
