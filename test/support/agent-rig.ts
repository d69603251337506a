import type { StreamLease } from '../../src/base/core/stream-lease.ts';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import { Incidents } from '../../src/base/flow/incidents.ts';
import type { Beat, BeatReply, FleetEvents, FleetState } from '../../src/fleet/control/control-plane.ts';
import { HostAgent } from '../../src/fleet/control/hosting/host-agent.ts';
import { LeasedEvents } from '../../src/fleet/control/hosting/leased-events.ts';
import type { StreamRunner } from '../../src/fleet/control/hosting/stream-runner.ts';
import { MemoryBus } from '../../src/fleet/control/memory/memory-bus.ts';
import { PLAN_DEFAULTS, type PlanOptions } from '../../src/fleet/control/planning/plan-options.ts';
import { StoredEvents } from '../../src/fleet/control/state/stored-events.ts';
import { StoredState } from '../../src/fleet/control/state/stored-state.ts';
import { MemoryStore } from '../../src/fleet/control/store/memory-store.ts';
import type { StreamConfig } from '../../src/settings/config/stream.ts';
import type { EventMessage } from '../../src/wire/protocol/feed.ts';
import type { RuleEvent } from '../../src/wire/protocol/rule-event.ts';
import { hostCard } from './fleet-world.ts';
import { ManualClock } from './manual-clock.ts';

export const BEAT_MS = 1_000;
export const LEASE_MS = 5_000;
const PLAN: PlanOptions = { ...PLAN_DEFAULTS, fillRatio: 0.8, movesPerSecond: 10, settleMs: 0 };

/** Runs nothing, and records a complaint for every call that a real runner would not allow. */
export class PretendedRunner implements StreamRunner {
  readonly running = new Map<string, { config: StreamConfig; readonly lease: StreamLease }>();
  /** Calls in order: `start gate`, `change gate`, `stop gate`. */
  readonly log: string[] = [];
  readonly complaints: string[] = [];
  /** Thrown by the following starts and changes. */
  failure: SightlineError | null = null;
  /** Streams that have failed after their start, and why. */
  readonly broken = new Map<string, SightlineError>();
  /** Starts wait for this promise. */
  gate: Promise<void> = Promise.resolve();
  /** Streams can be started before their lease is there; and whether they have results then. */
  canStandBy = false;
  hasResults = false;
  /** Called before a stream stops. */
  onStop: (id: string) => void = () => {};
  readonly #busy = new Set<string>();

  async start(config: StreamConfig, lease: StreamLease): Promise<void> {
    const { id } = config;
    if (this.#busy.has(id) || this.running.has(id)) this.complaints.push(`${id} was started twice`);
    if (!lease.isValid()) this.complaints.push(`${id} was started without a lease`);
    this.#busy.add(id);
    await this.gate;
    this.#busy.delete(id);
    this.log.push(this.failure === null ? `start ${id}` : `fail ${id}`);
    if (this.failure !== null) throw this.failure;
    this.running.set(id, { config, lease });
  }

  async standBy(config: StreamConfig, lease: StreamLease): Promise<boolean> {
    const { id } = config;
    if (!this.canStandBy) return false;
    if (this.running.has(id)) this.complaints.push(`${id} was started twice`);
    if (lease.isValid()) this.complaints.push(`${id} stood by with its lease`);
    this.log.push(`stand by ${id}`);
    this.running.set(id, { config, lease });
    return true;
  }

  hasResult(): boolean {
    return this.hasResults;
  }

  async change(config: StreamConfig): Promise<void> {
    if (!this.running.has(config.id)) this.complaints.push(`${config.id} was changed and does not run`);
    if (this.failure !== null) throw this.failure;
    this.running.get(config.id)!.config = config;
    this.log.push(`change ${config.id}`);
  }

  async stop(id: string): Promise<void> {
    if (this.#busy.has(id)) this.complaints.push(`${id} was stopped while it was started`);
    this.broken.delete(id);
    this.onStop(id);
    if (this.running.delete(id)) this.log.push(`stop ${id}`);
  }

  failureOf(id: string): SightlineError | null {
    return this.broken.get(id) ?? null;
  }

  report(): { liveFps: number; bulkFps: number; segments: number } {
    return { liveFps: 0, bulkFps: 0, segments: 0 };
  }
}

/** The state of a fleet over a connection that a test can cut or delay. */
export class CutState implements FleetState {
  readonly #inner: FleetState;
  isCut = false;
  /** Replies to heartbeats wait for this promise. */
  delay: Promise<void> = Promise.resolve();
  beatCount = 0;
  underway = 0;
  mostUnderway = 0;
  /** Calls that the fleet has not answered yet. */
  unanswered = 0;
  lastBeat: Beat | null = null;

  constructor(inner: FleetState) {
    this.#inner = inner;
  }

  async beat(beat: Beat): Promise<BeatReply> {
    this.beatCount += 1;
    this.lastBeat = beat;
    this.underway += 1;
    this.mostUnderway = Math.max(this.mostUnderway, this.underway);
    try {
      const reply = await this.#over(() => this.#inner.beat(beat));
      await this.delay;
      return reply;
    } finally {
      this.underway -= 1;
    }
  }

  leave = (...args: Parameters<FleetState['leave']>) => this.#over(() => this.#inner.leave(...args));
  claim = (...args: Parameters<FleetState['claim']>) => this.#over(() => this.#inner.claim(...args));
  release = (...args: Parameters<FleetState['release']>) => this.#over(() => this.#inner.release(...args));
  snapshot = () => this.#over(() => this.#inner.snapshot());
  leases = (...args: Parameters<FleetState['leases']>) => this.#over(() => this.#inner.leases(...args));
  addOrder = (...args: Parameters<FleetState['addOrder']>) => this.#over(() => this.#inner.addOrder(...args));
  replaceOrder = (...args: Parameters<FleetState['replaceOrder']>) =>
    this.#over(() => this.#inner.replaceOrder(...args));
  removeOrder = (...args: Parameters<FleetState['removeOrder']>) => this.#over(() => this.#inner.removeOrder(...args));
  assign = (...args: Parameters<FleetState['assign']>) => this.#over(() => this.#inner.assign(...args));
  setDraining = (...args: Parameters<FleetState['setDraining']>) => this.#over(() => this.#inner.setDraining(...args));

  async #over<T>(call: () => Promise<T>): Promise<T> {
    if (this.isCut) throw new SightlineError('CONTROL_UNREACHABLE', 'the line is cut');
    this.unanswered += 1;
    return call().finally(() => {
      this.unanswered -= 1;
    });
  }
}

/** The events of a fleet over a connection that a test can cut, before a call arrives or before its answer does. */
export class CutEvents implements FleetEvents {
  readonly #inner: FleetEvents;
  isCut = false;
  /** Calls take effect, but their answers are lost. */
  losesAnswers = false;
  /** Answers wait for this promise. */
  delay: Promise<void> = Promise.resolve();
  callCount = 0;
  /** Calls that the fleet has not answered yet. */
  unanswered = 0;

  constructor(inner: FleetEvents) {
    this.#inner = inner;
  }

  keep = (...args: Parameters<FleetEvents['keep']>) => this.#over(() => this.#inner.keep(...args));
  kept = (...args: Parameters<FleetEvents['kept']>) => this.#over(() => this.#inner.kept(...args));
  isWanted = (...args: Parameters<FleetEvents['isWanted']>) => this.#over(() => this.#inner.isWanted(...args));

  async #over<T>(call: () => Promise<T>): Promise<T> {
    this.callCount += 1;
    if (this.isCut) throw new SightlineError('CONTROL_UNREACHABLE', 'the line is cut');
    this.unanswered += 1;
    const answer = await call().finally(() => {
      this.unanswered -= 1;
    });
    await this.delay;
    if (this.losesAnswers) throw new SightlineError('CONTROL_UNREACHABLE', 'no answer came');
    return answer;
  }
}

export interface RiggedHost {
  readonly agent: HostAgent;
  readonly runner: PretendedRunner;
  readonly line: CutState;
  /** What rules of the host report; `eventLine` is its connection. */
  readonly leased: LeasedEvents;
  readonly eventLine: CutEvents;
  readonly notices: string[];
  readonly drains: boolean[];
}

/** A fleet of agents in one process, over the control plane in memory, on a clock that the test advances. */
export class AgentRig {
  readonly clock = new ManualClock();
  readonly #store = new MemoryStore(this.clock);
  readonly state = new StoredState({ store: this.#store, leaseMs: LEASE_MS });
  readonly ruleEvents = new StoredEvents({ store: this.#store });
  readonly bus = new MemoryBus();
  readonly events: EventMessage[] = [];
  /** Records of rules that hosts have handed out, in order, and those that they only keep for themselves. */
  readonly handedOut: { readonly host: string; readonly event: RuleEvent }[] = [];
  readonly keptOnly: { readonly host: string; readonly event: RuleEvent }[] = [];
  /** Clocks of frozen hosts: their timers do not fire either. */
  readonly #clocks = new Map<string, ManualClock>();
  readonly #lines: (CutState | CutEvents)[] = [];
  readonly #stopped = new Map<string, { readonly resumed: Promise<void>; readonly resume: () => void }>();

  constructor() {
    this.clock.advance(1_000_000);
    this.bus.subscribe('events', null, ({ body }) => this.events.push(body as EventMessage));
  }

  async host(id: string, capacityFps = 100, plan: Partial<PlanOptions> = {}): Promise<RiggedHost> {
    const runner = new PretendedRunner();
    const line = new CutState(this.state);
    const [notices, drains]: [string[], boolean[]] = [[], []];
    const clock = new ManualClock();
    clock.advance(this.clock.now());
    this.#clocks.set(id, clock);
    const { liveFps: _, bulkFps: __, streams: ___, segments: ____, ...card } = hostCard(id, capacityFps);
    const eventLine = new CutEvents(this.ruleEvents);
    this.#lines.push(line, eventLine);
    const leased = new LeasedEvents({
      events: eventLine,
      hostId: id,
      clock,
      incidents: new Incidents((text) => notices.push(text), clock),
      deliver: async (event, mayHandOut) => {
        await this.#stopped.get(id)?.resumed;
        // A process that was killed does nothing.
        if (!this.#clocks.has(id)) return new Promise(() => {});
        const may = mayHandOut();
        (may ? this.handedOut : this.keptOnly).push({ host: id, event });
        return may;
      },
      onNotice: (text) => notices.push(text),
    });
    const agent = new HostAgent({
      control: { state: line, bus: this.bus },
      runner,
      events: leased,
      card: { ...card, startedMs: Math.floor(this.clock.now()) },
      beatMs: BEAT_MS,
      leaseMs: LEASE_MS,
      plan: { ...PLAN, ...plan },
      onDraining: (isDraining) => drains.push(isDraining),
      onNotice: (text) => notices.push(text),
      clock,
      random: () => 0.5,
    });
    await agent.start();
    await settle();
    return { agent, runner, line, leased, eventLine, notices, drains };
  }

  /** Like SIGSTOP: nothing of the host runs, and its clock has advanced when it resumes. */
  freeze(id: string): void {
    let resume = (): void => {};
    const resumed = new Promise<void>((resolve) => {
      resume = resolve;
    });
    this.#stopped.set(id, { resumed, resume });
  }

  /** Like SIGCONT: the clock jumps to the present; timers fire only when the test advances. */
  thaw(id: string): ManualClock {
    const stopped = this.#stopped.get(id);
    this.#stopped.delete(id);
    // After the test has moved the clock.
    queueMicrotask(() => stopped?.resume());
    return this.#clocks.get(id)!;
  }

  /** Like SIGKILL. */
  kill(id: string): void {
    this.#clocks.delete(id);
  }

  /** Advances all clocks together in small steps, and settles after each. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 50) {
      const stepMs = Math.min(50, left);
      this.clock.advance(stepMs);
      for (const [id, clock] of this.#clocks) if (!this.#stopped.has(id)) clock.advance(this.clock.now() - clock.now());
      await this.settle();
    }
  }

  /** As `settle`, also if a change met another one, and is made again some milliseconds later. */
  async settle(): Promise<void> {
    do await settle();
    while (this.#lines.some(({ unanswered }) => unanswered > 0));
  }
}

/** Waits until everything that does not depend on a clock has happened. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}
