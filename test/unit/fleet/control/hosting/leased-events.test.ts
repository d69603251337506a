import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../../src/base/core/seeded-random.ts';
import type { EventPhase, RuleEvent } from '../../../../../src/wire/protocol/rule-event.ts';
import { AgentRig, BEAT_MS, LEASE_MS, type RiggedHost } from '../../../../support/agent-rig.ts';
import { changeOrder, streamOrder } from '../../../../support/fleet-world.ts';
import { ruleEvent } from '../../../../support/rule-events.ts';

const STREAM = 'gate';
/** Until sinks have written what they got, see `SETTLED_MS`. */
const SETTLED_MS = 1_500;

/** The rules of a host: they raise events of the streams that it runs, and end them when it stops a stream. */
class Rules {
  readonly #host: RiggedHost;
  readonly #open = new Map<string, RuleEvent>();

  constructor(host: RiggedHost) {
    this.#host = host;
    host.runner.onStop = (id) => {
      for (const event of [...this.#open.values()]) if (event.stream === id) this.report(event.id, 'end', 'stopped');
    };
  }

  get open(): string[] {
    return [...this.#open.keys()];
  }

  raise(id: string, stream = STREAM): void {
    this.#report(ruleEvent(id, 0, 'new', { stream }));
  }

  report(id: string, phase: EventPhase, endReason: RuleEvent['endReason'] = 'over'): void {
    const last = this.#open.get(id)!;
    const end = phase === 'end' ? { endReason } : {};
    this.#report(ruleEvent(id, last.seq + 1, phase, { stream: last.stream, ...end }));
  }

  #report(event: RuleEvent): void {
    if (event.phase === 'end') this.#open.delete(event.id);
    else this.#open.set(event.id, event);
    this.#host.leased.record(event);
  }
}

async function fleet(...names: string[]): Promise<{ rig: AgentRig; hosts: RiggedHost[]; rules: Rules[] }> {
  const rig = new AgentRig();
  await rig.state.addOrder(streamOrder(STREAM, { maxFps: 2 }));
  const hosts: RiggedHost[] = [];
  for (const name of names) {
    hosts.push(await rig.host(name));
    await rig.pass(BEAT_MS);
  }
  expect(hosts[0]!.runner.running.has(STREAM)).toBe(true);
  return { rig, hosts, rules: hosts.map((host) => new Rules(host)) };
}

const told = ({ handedOut }: AgentRig): string[] =>
  handedOut.map(({ host, event: { id, seq, phase, endReason } }) => `${host}: ${id}.${seq} ${endReason ?? phase}`);

describe('events under a lease', () => {
  it('are handed out once the fleet keeps them, and forgotten once they have ended', async () => {
    const { rig, hosts, rules } = await fleet('a');
    let answer = (): void => {};
    hosts[0]!.eventLine.delay = new Promise((resolve) => {
      answer = resolve;
    });
    rules[0]!.raise('e1');
    await rig.settle();
    expect([...(await rig.ruleEvents.kept(STREAM)).values()]).toMatchObject([{ isSent: false }]);
    expect(told(rig)).toEqual([]);
    answer();
    await rig.settle();
    expect(told(rig)).toEqual(['a: e1.0 new']);
    // Sinks may not have written it yet.
    expect([...(await rig.ruleEvents.kept(STREAM)).values()]).toMatchObject([{ isSent: false }]);
    await rig.pass(SETTLED_MS);
    expect([...(await rig.ruleEvents.kept(STREAM)).values()]).toMatchObject([{ isSent: true }]);
    rules[0]!.report('e1', 'update');
    rules[0]!.report('e1', 'end');
    await rig.settle();
    expect(told(rig)).toEqual(['a: e1.0 new', 'a: e1.1 update', 'a: e1.2 over']);
    await rig.pass(SETTLED_MS);
    expect((await rig.ruleEvents.kept(STREAM)).size).toBe(0);
    expect(rig.handedOut.every(({ event }) => event.fence === hosts[0]!.agent.fence(STREAM))).toBe(true);
  });

  it('cost the control plane nothing while rules report nothing', async () => {
    const { rig, hosts } = await fleet('a');
    const { callCount } = hosts[0]!.eventLine;
    await rig.pass(60_000);
    expect(hosts[0]!.eventLine.callCount).toBe(callCount);
  });

  it('of a killed host are ended by the next one, before it reports its own', async () => {
    const { rig, hosts, rules } = await fleet('a', 'b');
    rules[0]!.raise('e1');
    rules[0]!.raise('e2');
    rules[0]!.report('e2', 'end');
    await rig.pass(SETTLED_MS);
    rig.kill('a');
    hosts[1]!.eventLine.isCut = true;
    await rig.pass(2 * LEASE_MS);
    expect(hosts[1]!.runner.running.has(STREAM)).toBe(true);
    rules[1]!.raise('e3');
    await rig.pass(BEAT_MS);
    hosts[1]!.eventLine.isCut = false;
    await rig.pass(BEAT_MS);
    expect(told(rig).slice(3)).toEqual(['b: e1.1 moved', 'b: e3.0 new']);
    const end = rig.handedOut[3]!.event;
    expect(end).toMatchObject({ phase: 'end', ended: { ptsUs: 15_000_000 }, fence: hosts[1]!.agent.fence(STREAM) });
    expect(end.reason).toBe(rig.handedOut[0]!.event.reason);
  });

  it('that the fleet kept, but a killed host could not hand out, are handed out by the next one', async () => {
    const { rig, hosts, rules } = await fleet('a', 'b');
    const { eventLine } = hosts[0]!;
    eventLine.isCut = true;
    rules[0]!.raise('e1');
    rules[0]!.report('e1', 'end');
    rules[0]!.raise('e2');
    await rig.settle();
    Object.assign(eventLine, { isCut: false, delay: new Promise(() => {}) });
    await rig.pass(BEAT_MS);
    expect(told(rig)).toEqual([]);
    rig.kill('a');
    await rig.pass(2 * LEASE_MS);
    expect(told(rig).sort()).toEqual(['b: e1.0 new', 'b: e1.1 over', 'b: e2.0 new', 'b: e2.1 moved']);
    expect((await rig.ruleEvents.kept(STREAM)).size).toBe(0);
  });

  it('that a killed host has handed out just before, which its sinks may lack, are handed out again', async () => {
    const { rig, rules } = await fleet('a', 'b');
    rules[0]!.raise('e1');
    await rig.pass(SETTLED_MS);
    rules[0]!.report('e1', 'update');
    rules[0]!.raise('e2');
    await rig.settle();
    rules[0]!.report('e2', 'end');
    await rig.settle();
    const before = ['a: e1.0 new', 'a: e1.1 update', 'a: e2.0 new', 'a: e2.1 over'];
    expect(told(rig)).toEqual(before);
    rig.kill('a');
    await rig.pass(2 * LEASE_MS);
    expect(told(rig).slice(4)).toEqual(['b: e1.1 update', 'b: e1.2 moved', 'b: e2.0 new', 'b: e2.1 over']);
  });

  it('wait in order for a control plane that does not answer', async () => {
    const { rig, hosts, rules } = await fleet('a');
    rules[0]!.raise('e1');
    await rig.settle();
    hosts[0]!.eventLine.isCut = true;
    rules[0]!.raise('e2');
    for (let i = 0; i < 3; i++) rules[0]!.report('e1', 'update');
    rules[0]!.report('e1', 'end');
    rules[0]!.report('e2', 'end');
    await rig.pass(LEASE_MS - BEAT_MS);
    expect(told(rig)).toEqual(['a: e1.0 new']);
    hosts[0]!.eventLine.isCut = false;
    await rig.pass(BEAT_MS);
    // Of updates that waited, the newest counts.
    expect(rig.handedOut[2]!.event.reason).toContain('(3)');
    expect(told(rig).slice(1)).toEqual(['a: e2.0 new', 'a: e1.1 update', 'a: e1.2 over', 'a: e2.1 over']);
  });

  it('of a host that is cut off are withheld, counted, and ended by the next one alone', async () => {
    const { rig, hosts, rules } = await fleet('a', 'b');
    rules[0]!.raise('e1');
    await rig.pass(SETTLED_MS);
    hosts[0]!.line.isCut = true;
    hosts[0]!.eventLine.isCut = true;
    await rig.pass(LEASE_MS - 2 * BEAT_MS);
    rules[0]!.raise('e2');
    rules[0]!.report('e1', 'update');
    await rig.pass(3 * LEASE_MS);
    expect(told(rig)).toEqual(['a: e1.0 new', 'b: e1.1 moved']);
    expect(rules[0]!.open).toEqual([]);
    // The new and end of one, the update and end of the other.
    expect(hosts[0]!.leased.withheldCount).toBe(4);
    expect(hosts[0]!.notices).toContain('stream "gate": 4 records of events withheld: its lease is lost');
    // For its own books, the event has ended too.
    expect(rig.keptOnly.map(({ host, event }) => [host, event.id, event.seq, event.endReason])).toEqual([
      ['a', 'e1', 1, 'moved'],
    ]);
    hosts[0]!.line.isCut = false;
    hosts[0]!.eventLine.isCut = false;
    await rig.pass(LEASE_MS);
    expect(told(rig)).toHaveLength(2);
  });

  it('that the fleet kept, but whose lease ended before the host knew it, are handed out by the next host alone', async () => {
    const { rig, hosts, rules } = await fleet('a', 'b');
    let answer = (): void => {};
    hosts[0]!.eventLine.delay = new Promise((resolve) => {
      answer = resolve;
    });
    rules[0]!.raise('e1');
    await rig.settle();
    hosts[0]!.line.isCut = true;
    await rig.pass(2 * LEASE_MS);
    answer();
    await rig.pass(BEAT_MS);
    expect(told(rig)).toEqual(['b: e1.0 new', 'b: e1.1 moved']);
  });

  it('of a suspended host are ended by the next one, and the host says nothing when it resumes', async () => {
    const { rig, rules } = await fleet('a', 'b');
    rules[0]!.raise('e1');
    await rig.pass(SETTLED_MS);
    rig.freeze('a');
    await rig.pass(2 * LEASE_MS);
    const clock = rig.thaw('a');
    clock.jump(rig.clock.now() - clock.now());
    rules[0]!.report('e1', 'end');
    rules[0]!.raise('e2');
    await rig.pass(LEASE_MS);
    expect(told(rig)).toEqual(['a: e1.0 new', 'b: e1.1 moved']);
  });

  it('end as moved when another host goes on with the stream, as stopped when none does', async () => {
    const { rig, hosts, rules } = await fleet('a', 'b');
    rules[0]!.raise('e1');
    await rig.state.setDraining('a', true);
    await rig.pass(3 * BEAT_MS);
    expect(hosts[1]!.runner.running.has(STREAM)).toBe(true);
    rules[1]!.raise('e2');
    await rig.settle();
    const { orders } = await rig.state.snapshot();
    await changeOrder(rig.state, { ...orders[0]!, isPaused: true });
    await rig.pass(3 * BEAT_MS);
    await changeOrder(rig.state, { ...orders[0]!, isPaused: false });
    await rig.pass(3 * BEAT_MS);
    rules[1]!.raise('e3');
    await rig.settle();
    await rig.state.removeOrder(STREAM);
    await rig.pass(3 * BEAT_MS);
    expect(told(rig)).toEqual([
      ...['a: e1.0 new', 'a: e1.1 moved', 'b: e2.0 new', 'b: e2.1 stopped'],
      ...['b: e3.0 new', 'b: e3.1 stopped'],
    ]);
    expect((await rig.ruleEvents.kept(STREAM)).size).toBe(0);
  });

  it('of a stream whose host was killed are ended too if the stream is removed then', async () => {
    const { rig, hosts, rules } = await fleet('a', 'b');
    rules[0]!.raise('e1');
    await rig.pass(SETTLED_MS);
    rig.kill('a');
    await rig.state.removeOrder(STREAM);
    await rig.pass(2 * LEASE_MS);
    expect(told(rig)).toEqual(['a: e1.0 new', 'b: e1.1 moved']);
    expect(hosts[1]!.runner.log).toEqual([]);
    const { leases } = await rig.state.snapshot();
    expect(leases.size).toBe(0);
  });

  it('that the fleet cannot keep any more are not reported at all', async () => {
    const { rig, hosts, rules } = await fleet('a');
    for (let i = 0; i < 600; i++) rules[0]!.raise(`e${i}`);
    await rig.pass(BEAT_MS);
    for (const id of rules[0]!.open) rules[0]!.report(id, 'end');
    await rig.pass(BEAT_MS);
    expectWholeLives(rig);
    expect(new Set(rig.handedOut.map(({ event }) => event.id)).size).toBe(500);
    expect(hosts[0]!.leased.withheldCount).toBe(200);
    rules[0]!.raise('again');
    await rig.settle();
    expect(told(rig).at(-1)).toBe('a: again.0 new');
  });

  it('of a stream that another host runs by now are withheld; those under no lease are not its business', async () => {
    const { hosts } = await fleet('a');
    expect(hosts[0]!.leased.record(ruleEvent('e1', 0, 'new', { stream: 'file' }))).toBe(false);
    expect(hosts[0]!.leased.record(ruleEvent('e2', 0, 'new', { stream: 'other', fence: 3 }))).toBe(true);
    expect(hosts[0]!.leased.withheldCount).toBe(1);
  });

  it('have one new and one end each, whatever happens to hosts and connections', async () => {
    const sum = { events: 0, moved: 0, repeated: 0 };
    for (let seed = 1; seed <= 20; seed++) {
      const rig = await walk(seed);
      const { repeated } = expectWholeLives(rig);
      sum.repeated += repeated;
      sum.events += new Set(rig.handedOut.map(({ event }) => event.id)).size;
      sum.moved += rig.handedOut.filter(({ event }) => event.endReason === 'moved').length;
    }
    console.log(`walks: ${JSON.stringify(sum)}`);
    expect(sum.events).toBeGreaterThan(200);
    expect(sum.moved).toBeGreaterThan(30);
  }, 120_000);
});

/** Fails unless each event has one `new` first and one `end` last, apart from records that came twice. */
function expectWholeLives({ handedOut }: AgentRig): { repeated: number } {
  const lives = new Map<string, Map<number, RuleEvent>>();
  let repeated = 0;
  for (const { event } of handedOut) {
    const life = lives.get(event.id) ?? new Map<number, RuleEvent>();
    lives.set(event.id, life);
    const before = life.get(event.seq);
    if (before !== undefined) {
      repeated += 1;
      const { fence: _, ...record } = event;
      expect({ ...record, fence: before.fence }).toEqual(before);
    } else expect(event.seq, event.id).toBe(life.size);
    life.set(event.seq, event);
  }
  for (const [id, life] of lives) {
    const phases = Array.from(life.values(), ({ phase }) => phase);
    expect([phases[0], phases.at(-1)], id).toEqual(['new', 'end']);
    expect(phases.slice(1, -1).every((phase) => phase === 'update')).toBe(true);
  }
  return { repeated };
}

/** Three hosts and three streams, to which things happen at random; in the end one host runs, or everything was removed. */
async function walk(seed: number): Promise<AgentRig> {
  const random = seededRandom(seed);
  const pick = <T>(items: readonly T[]): T | undefined => items[Math.floor(random() * items.length)];
  const rig = new AgentRig();
  const streams = ['s0', 's1', 's2'];
  const hosts = new Map<string, { host: RiggedHost; rules: Rules; mend: () => void }>();
  let [named, raised] = [0, 0];
  const join = async (): Promise<void> => {
    const name = `h${named++}`;
    const host = await rig.host(name);
    hosts.set(name, { host, rules: new Rules(host), mend: () => undefined });
  };
  for (const id of streams) await rig.state.addOrder(streamOrder(id, { maxFps: 2 }));
  for (let i = 0; i < 3; i++) await join();
  await rig.pass(2 * BEAT_MS);
  const suspended = new Set<string>();
  const wake = (name: string): void => {
    suspended.delete(name);
    const clock = rig.thaw(name);
    clock.jump(rig.clock.now() - clock.now());
  };
  for (let step = 0; step < 120; step++) {
    const name = pick([...hosts.keys()].filter((each) => !suspended.has(each)));
    const one = name === undefined ? undefined : hosts.get(name)!;
    const chance = random();
    if (one === undefined || name === undefined) for (const each of [...suspended]) wake(each);
    else if (chance < 0.4) {
      const stream = pick([...one.host.runner.running.keys()]);
      if (stream !== undefined) one.rules.raise(`e${seed}-${raised++}`, stream);
    } else if (chance < 0.65) {
      const id = pick(one.rules.open);
      if (id !== undefined) one.rules.report(id, random() < 0.5 ? 'update' : 'end');
    } else if (chance < 0.71) {
      const { line, eventLine } = one.host;
      one.mend();
      if (random() < 0.5) line.isCut = true;
      if (random() < 0.6) eventLine.isCut = true;
      else eventLine.losesAnswers = true;
      one.mend = () => {
        line.isCut = false;
        eventLine.isCut = false;
        eventLine.losesAnswers = false;
      };
    } else if (chance < 0.81) one.mend();
    else if (chance < 0.84) {
      let go = (): void => {};
      one.mend();
      one.host.eventLine.delay = new Promise((resolve) => {
        go = resolve;
      });
      one.mend = go;
    } else if (chance < 0.87) {
      rig.freeze(name);
      suspended.add(name);
    } else if (chance < 0.9) {
      rig.kill(name);
      hosts.delete(name);
      if (hosts.size < 2) await join();
    } else if (chance < 0.92) await rig.state.setDraining(name, random() < 0.5).catch(() => undefined);
    else if (chance < 0.94) {
      const { orders } = await rig.state.snapshot();
      const order = pick(orders);
      if (order !== undefined) await changeOrder(rig.state, { ...order, isPaused: !order.isPaused });
    } else if (chance < 0.96) {
      const id = pick(streams)!;
      const { orders } = await rig.state.snapshot();
      if (orders.some((order) => order.id === id)) await rig.state.removeOrder(id);
      else await rig.state.addOrder(streamOrder(id, { maxFps: 2 }));
    } else for (const each of [...suspended]) wake(each);
    if (random() < 0.5) await rig.settle();
    await rig.pass(random() < 0.1 ? LEASE_MS : Math.floor(random() * 600));
  }
  for (const each of [...suspended]) wake(each);
  for (const [name, { host, mend }] of hosts) {
    mend();
    Object.assign(host.line, { isCut: false });
    Object.assign(host.eventLine, { isCut: false, losesAnswers: false, delay: Promise.resolve() });
    await rig.state.setDraining(name, false).catch(() => undefined);
  }
  const { orders } = await rig.state.snapshot();
  for (const order of orders) if (order.isPaused) await changeOrder(rig.state, { ...order, isPaused: false });
  await rig.pass(4 * LEASE_MS);
  for (const { id } of orders) if (random() < 0.5) await rig.state.removeOrder(id);
  await rig.pass(4 * LEASE_MS);
  const stopping = Array.from(hosts.values(), ({ host }) => host.agent.stop());
  await rig.pass(2 * BEAT_MS);
  await Promise.all(stopping);
  for (const id of streams) expect((await rig.ruleEvents.kept(id)).size, `left of ${id} with seed ${seed}`).toBe(0);
  return rig;
}
