import { describe, expect, it } from 'vitest';
import type { FleetSnapshot } from '../../../../../src/fleet/control/control-plane.ts';
import {
  SCALE_DEFAULTS,
  ScaleAdvisor,
  type ScaleOptions,
} from '../../../../../src/fleet/control/planning/scale-advisor.ts';
import type { Assignment, HostCard, StreamOrder } from '../../../../../src/wire/protocol/fleet.ts';
import type { QueueReport, ScaleReport } from '../../../../../src/wire/protocol/fleet-report.ts';
import { hostCard, streamOrder } from '../../../../support/fleet-world.ts';

const HOST_FPS = 125;
const START_MS = 1_700_000_000_000;
/** A new host opens its model and joins. */
const HOST_START_S = 60;
const IDLE: QueueReport = { waiting: 0, active: 0, oldestWaitingMs: 0 };

/** A fleet whose hosts do 100 inferences/s each and join a minute after they are recommended; surplus hosts leave at once. */
class ScalingFleet {
  readonly #advisor: ScaleAdvisor;
  readonly #coming: { atS: number; count: number }[] = [];
  hosts: number;
  second = 0;
  changes = 0;
  advice: ScaleReport | null = null;

  constructor(hosts: number, options: Partial<ScaleOptions> = {}) {
    this.hosts = hosts;
    this.#advisor = new ScaleAdvisor({
      ...SCALE_DEFAULTS,
      pipeline: null,
      fillRatio: 0.8,
      tasksPerHost: 2,
      minHosts: 1,
      maxHosts: 50,
      ...options,
    });
  }

  /** Simulates one second with streams of 10 inferences/s that want `liveFps` together. */
  pass(liveFps: number, queue = IDLE, bulkFps = 0): ScaleReport {
    this.second += 1;
    const due = this.#coming.filter(({ atS }) => atS <= this.second);
    for (const batch of due) this.#coming.splice(this.#coming.indexOf(batch), 1);
    this.hosts += due.reduce((sum, { count }) => sum + count, 0);
    const advice = this.#advisor.advise(snapshotOf(this.hosts, liveFps, bulkFps, START_MS + this.second * 1000), queue);
    if (this.advice !== null && advice.recommendedHosts !== this.advice.recommendedHosts) this.changes += 1;
    const expected = this.hosts + this.#coming.reduce((sum, { count }) => sum + count, 0);
    if (advice.recommendedHosts > expected)
      this.#coming.push({ atS: this.second + HOST_START_S, count: advice.recommendedHosts - expected });
    if (advice.recommendedHosts < this.hosts) this.hosts = advice.recommendedHosts;
    this.advice = advice;
    return advice;
  }
}

function snapshotOf(hostCount: number, liveFps: number, bulkFps: number, nowMs: number): FleetSnapshot {
  const hosts: HostCard[] = Array.from({ length: hostCount }, (_, i) =>
    hostCard(`h${i}`, HOST_FPS, { bulkFps: bulkFps / hostCount }),
  );
  const orders: StreamOrder[] = Array.from({ length: Math.round(liveFps / 10) }, (_, i) =>
    streamOrder(`s${i}`, { maxFps: 10 }),
  );
  const room = hostCount * 10;
  const assignments = new Map<string, Assignment>(
    orders.slice(0, room).map(({ id }, i) => [id, { hostId: `h${i % hostCount}`, maxFps: null, sinceMs: 0 }]),
  );
  return { nowMs, hosts, draining: new Set(), orders, assignments, leases: new Map() };
}

describe('the figures', () => {
  it('are active, waiting and capacity in inferences a second', () => {
    const advisor = new ScaleAdvisor({
      ...SCALE_DEFAULTS,
      pipeline: 'street',
      fillRatio: 0.8,
      tasksPerHost: 2,
      minHosts: 0,
      maxHosts: 10,
    });
    const orders = [
      streamOrder('full', { maxFps: 10 }),
      streamOrder('reduced', { maxFps: 20 }),
      streamOrder('refused', { maxFps: 5 }),
      streamOrder('of-a-dead-host', { maxFps: 4 }),
      streamOrder('paused', { maxFps: 100 }, { isPaused: true }),
      streamOrder('foreign', { maxFps: 100 }, { pipeline: 'faces' }),
    ];
    const on = (hostId: string, maxFps: number | null = null): Assignment => ({ hostId, maxFps, sinceMs: 0 });
    const advice = advisor.advise(
      {
        nowMs: START_MS,
        hosts: [
          hostCard('a', 50, { bulkFps: 6 }),
          hostCard('b', 50),
          hostCard('c', 1000),
          hostCard('d', 1000, { pipeline: 'faces', bulkFps: 500 }),
        ],
        draining: new Set(['c']),
        orders,
        assignments: new Map([
          ['full', on('a')],
          ['reduced', on('b', 12)],
          ['of-a-dead-host', on('gone')],
        ]),
        leases: new Map(),
      },
      { waiting: 3, active: 1, oldestWaitingMs: 4_500 },
    );
    // Two ready hosts of 40; a task is half a host: 20. Live: 10 + 12 of 39; bulk 6.
    expect(advice).toMatchObject({
      hosts: 2,
      capacity: 80,
      active: 28,
      waiting: 8 + 5 + 4 + 60,
      queueDepth: 3,
      oldestWaitingS: 4.5,
    });
    expect(advice.loadRatio).toBe(1.31);
    expect(advice.recommendedHosts).toBe(3);
    expect(advice.reason).toBe('28 of 80 inferences/s on 2 hosts are in use, 77 wait, 3 tasks queued (oldest 5 s).');
  });

  it('are finite without hosts', () => {
    const fleet = new ScalingFleet(0, { minHosts: 0 });
    expect(fleet.pass(0)).toMatchObject({ loadRatio: 0, recommendedHosts: 0, capacity: 0 });
    expect(fleet.pass(10)).toMatchObject({ loadRatio: 1, recommendedHosts: 1 });
  });

  it('recommend one host if only tasks wait and there is no host', () => {
    const fleet = new ScalingFleet(0, { minHosts: 0 });
    expect(fleet.pass(0, { waiting: 40, active: 0, oldestWaitingMs: 0 }).recommendedHosts).toBe(1);
  });
});

describe('the recommendation', () => {
  it('follows a step up within 90 s and the start of a host, doubling at most every half minute', () => {
    const fleet = new ScalingFleet(1);
    for (let i = 0; i < 60; i++) fleet.pass(50);
    const steps: number[] = [];
    let reachedS = 0;
    for (let i = 1; i <= 300; i++) {
      const { recommendedHosts } = fleet.pass(1000);
      if (steps.at(-1) !== recommendedHosts) steps.push(recommendedHosts);
      if (fleet.hosts * 100 >= 1000 && reachedS === 0) reachedS = i;
    }
    expect(steps).toEqual([2, 4, 8, 13]);
    expect(reachedS).toBeLessThanOrEqual(90 + HOST_START_S + 1);
    expect(reachedS).toBeGreaterThan(0);
  });

  it('still rises after the clock of the control plane was set back', () => {
    const fleet = new ScalingFleet(1);
    for (let i = 0; i < 60; i++) fleet.pass(50);
    expect(fleet.pass(1000).recommendedHosts).toBe(2);
    fleet.second -= 3600;
    for (let i = 0; i < 40; i++) fleet.pass(1000);
    expect(fleet.advice?.recommendedHosts).toBe(4);
  });

  it('falls to the need after the window, in one step', () => {
    const fleet = new ScalingFleet(13);
    for (let i = 0; i < 60; i++) fleet.pass(1000);
    const changesBefore = fleet.changes;
    const seen: number[] = [];
    for (let i = 0; i < 400; i++) seen.push(fleet.pass(100).recommendedHosts);
    expect([new Set(seen.slice(0, 299)), seen.at(-1), fleet.changes - changesBefore]).toEqual([new Set([13]), 2, 1]);
  });

  it('does not oscillate with a saw-tooth load: nothing changes after three of thirty two-minute teeth', () => {
    const fleet = new ScalingFleet(5);
    const tooth = (): void => {
      for (let i = 0; i < 120; i++) fleet.pass(100 + 600 * (i / 120));
    };
    for (let i = 0; i < 3; i++) tooth();
    const changesBefore = fleet.changes;
    for (let i = 3; i < 30; i++) tooth();
    expect([fleet.changes - changesBefore, fleet.advice?.recommendedHosts]).toEqual([0, 9]);
  });

  it('follows teeth longer than the window, with at most six changes each', () => {
    const fleet = new ScalingFleet(2);
    const teeth = 6;
    const seen = new Set<number>();
    for (let i = 0; i < teeth * 1800; i++) seen.add(fleet.pass(i % 1800 < 900 ? 700 : 100).recommendedHosts);
    expect([Math.min(...seen), Math.max(...seen)]).toEqual([2, 9]);
    expect(fleet.changes).toBeLessThanOrEqual(6 * teeth);
  });

  it('is steady under noise at a threshold', () => {
    const fleet = new ScalingFleet(2);
    for (let i = 0; i < 3600; i++) fleet.pass(i % 2 === 0 ? 150 : 170);
    expect(fleet.changes).toBeLessThanOrEqual(1);
  });

  it('stays within its limits', () => {
    const fleet = new ScalingFleet(5, { minHosts: 3, maxHosts: 6 });
    for (let i = 0; i < 200; i++) expect(fleet.pass(5000).recommendedHosts).toBeLessThanOrEqual(6);
    for (let i = 0; i < 400; i++) expect(fleet.pass(0).recommendedHosts).toBeGreaterThanOrEqual(3);
    expect(fleet.advice?.recommendedHosts).toBe(3);
  });

  it('neither grows nor shrinks because segments use all idle capacity', () => {
    const fleet = new ScalingFleet(3);
    const busy: QueueReport = { waiting: 0, active: 6, oldestWaitingMs: 0 };
    for (let i = 0; i < 900; i++) fleet.pass(100, busy, fleet.hosts * HOST_FPS);
    expect([fleet.changes, fleet.advice?.recommendedHosts]).toEqual([0, 3]);
    for (let i = 0; i < 400; i++) fleet.pass(100);
    expect(fleet.advice?.recommendedHosts).toBe(2);
  });

  it('grows for waiting tasks, in proportion to tasksPerHost', () => {
    const fleet = new ScalingFleet(1);
    for (let i = 0; i < 120; i++) fleet.pass(0, { waiting: 6, active: 2, oldestWaitingMs: 1000 * i }, 100);
    expect(fleet.advice?.recommendedHosts).toBe(4);
  });

  it('does not fall below the initial hosts during the first window', () => {
    const fleet = new ScalingFleet(10);
    for (let i = 0; i < 299; i++) expect(fleet.pass(100).recommendedHosts).toBe(10);
    for (let i = 0; i < 10; i++) fleet.pass(100);
    expect(fleet.advice?.recommendedHosts).toBe(2);
    expect(fleet.advice!.sinceMs).toBeGreaterThan(START_MS + 299_000);
  });
});
