import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { card, type FleetRig, LEASE_MS, order, rigMakers } from './control-plane-rigs.ts';

describe.each(rigMakers())('a fleet in $name', (maker) => {
  afterAll(() => maker.close());

  it.skipIf(maker.isSkipped)(
    'never has two holders of one stream in any sequence of operations, and its fences always rise',
    async () => {
      const hosts = ['a', 'b', 'c'];
      const streams = ['s', 't'];
      const step = fc.record({
        what: fc.constantFrom('claim', 'claim', 'beat', 'beat', 'release', 'leave', 'wait'),
        host: fc.constantFrom(...hosts),
        stream: fc.constantFrom(...streams),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
          const own = await maker.open();
          try {
            await new FleetWalk(own, hosts, streams).go(steps);
          } finally {
            await own.close();
          }
        }),
        { numRuns: 60 },
      );
    },
  );
});

interface Step {
  readonly what: string;
  readonly host: string;
  readonly stream: string;
}

/** Runs steps on a fleet, and tracks the leases that each host may believe to hold: these must never overlap. */
class FleetWalk {
  readonly #rig: FleetRig;
  readonly #hosts: readonly string[];
  readonly #streams: readonly string[];
  readonly #beatMs = new Map<string, number>();
  readonly #beliefs = new Map<string, Map<string, { fence: number; untilMs: number }>>();
  #nowMs = 0;
  #highest = 0;

  constructor(rig: FleetRig, hosts: readonly string[], streams: readonly string[]) {
    this.#rig = rig;
    this.#hosts = hosts;
    this.#streams = streams;
    for (const host of hosts) this.#beliefs.set(host, new Map());
  }

  async go(steps: readonly Step[]): Promise<void> {
    for (const stream of this.#streams) await this.#rig.state.addOrder(order(stream));
    for (const host of this.#hosts) await this.#beat(host);
    for (const step of steps) {
      await this.#take(step);
      for (const stream of this.#streams) expect(this.#holders(stream).length).toBeLessThanOrEqual(1);
    }
  }

  #take({ what, host, stream }: Step): Promise<void> {
    if (what === 'claim') return this.#claim(host, stream);
    if (what === 'beat') return this.#beat(host);
    if (what === 'release') return this.#release(host, stream);
    if (what === 'leave') return this.#leave(host);
    this.#nowMs += LEASE_MS / 4;
    return this.#rig.advance(LEASE_MS / 4);
  }

  async #claim(host: string, stream: string): Promise<void> {
    const cardUntilMs = (this.#beatMs.get(host) ?? Number.NEGATIVE_INFINITY) + LEASE_MS;
    if (cardUntilMs <= this.#nowMs) {
      await expect(this.#rig.state.claim(stream, host)).rejects.toMatchObject({ code: 'HOST_NOT_FOUND' });
      return;
    }
    const isHeldElsewhere = this.#holders(stream).some((holder) => holder !== host);
    const fence = await this.#rig.state.claim(stream, host);
    expect(fence === null).toBe(isHeldElsewhere);
    if (fence === null) return;
    expect(fence).toBeGreaterThan(this.#highest);
    this.#highest = fence;
    this.#beliefs.get(host)!.set(stream, { fence, untilMs: cardUntilMs });
  }

  async #beat(host: string): Promise<void> {
    const beliefs = this.#beliefs.get(host)!;
    const held = new Map(Array.from(beliefs, ([stream, { fence }]) => [stream, fence]));
    const { lost } = await this.#rig.state.beat({ card: card(host), held, planRevision: 0 });
    this.#beatMs.set(host, this.#nowMs);
    for (const [stream, belief] of beliefs) {
      expect(lost.includes(stream)).toBe(belief.untilMs <= this.#nowMs);
      if (lost.includes(stream)) beliefs.delete(stream);
      else belief.untilMs = this.#nowMs + LEASE_MS;
    }
  }

  async #release(host: string, stream: string): Promise<void> {
    const belief = this.#beliefs.get(host)!.get(stream);
    await this.#rig.state.release(stream, host, belief?.fence ?? 1);
    this.#beliefs.get(host)!.delete(stream);
  }

  async #leave(host: string): Promise<void> {
    await this.#rig.state.leave(host, card(host).startedMs);
    this.#beliefs.get(host)!.clear();
    this.#beatMs.delete(host);
  }

  #holders(stream: string): string[] {
    return this.#hosts.filter((host) => (this.#beliefs.get(host)!.get(stream)?.untilMs ?? 0) > this.#nowMs);
  }
}
