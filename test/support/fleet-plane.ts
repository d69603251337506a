import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import type {
  ControlPlane,
  FleetSnapshot,
  TaskCounts,
  TaskQueue,
  TaskWorker,
} from '../../src/fleet/control/control-plane.ts';
import { MemoryBus } from '../../src/fleet/control/memory/memory-bus.ts';
import type { RolloutStore } from '../../src/fleet/control/rollout/rollout-store.ts';
import { StoredEvents } from '../../src/fleet/control/state/stored-events.ts';
import { StoredRollouts } from '../../src/fleet/control/state/stored-rollouts.ts';
import { StoredState } from '../../src/fleet/control/state/stored-state.ts';
import { MemoryStore } from '../../src/fleet/control/store/memory-store.ts';
import type { DeadLetter, HostCard, JobOrder, JobReport, Lease } from '../../src/wire/protocol/fleet.ts';
import type { ManualClock } from './manual-clock.ts';

const LEASE_MS = 5_000;

/** The memory control plane with a queue whose jobs the test sets; `isDown` makes every call fail. */
export class FleetPlane implements ControlPlane {
  readonly kind = 'memory';
  readonly bus = new MemoryBus();
  readonly tasks = new TaskDouble(() => this.#requireUp());
  readonly memory: StoredState;
  readonly state: StoredState;
  readonly events: StoredEvents;
  /** Lease records that the test wrote, which override those of the memory state. */
  readonly held = new Map<string, Lease>();
  isDown = false;
  isClosed = false;
  trouble: string | null = null;
  readonly #clock: ManualClock;

  onAlarm(): () => void {
    return () => {};
  }

  constructor(clock: ManualClock) {
    this.#clock = clock;
    const store = new MemoryStore(clock);
    this.memory = new StoredState({ store, leaseMs: LEASE_MS });
    this.events = new StoredEvents({ store });
    this.state = new Proxy(this.memory, {
      get: (memory, name) => {
        const member: unknown = Reflect.get(memory, name);
        if (typeof member !== 'function') return member;
        return async (...args: unknown[]) => {
          this.#requireUp();
          const answer: unknown = await member.apply(memory, args);
          if (name === 'snapshot') return this.#withHeld(answer as FleetSnapshot);
          return name === 'leases' ? new Map([...(answer as Map<string, Lease>), ...this.held]) : answer;
        };
      },
    });
  }

  rollouts(pipeline: string): RolloutStore {
    return new StoredRollouts({ store: new MemoryStore(this.#clock), leaseMs: LEASE_MS, pipeline });
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }

  /** Sends a heartbeat of a host with its leases. */
  async beat(card: HostCard, held: ReadonlyMap<string, number> = new Map()): Promise<void> {
    await this.memory.beat({ card, held, planRevision: 0 });
  }

  snapshot(): Promise<FleetSnapshot> {
    return this.memory.snapshot();
  }

  /** Writes the lease record of a stream, as a claim would, with the given fence. */
  hold(streamId: string, hostId: string, fence: number): void {
    this.held.set(streamId, { hostId, fence, expiresMs: Number.MAX_SAFE_INTEGER });
  }

  #withHeld(snapshot: FleetSnapshot): FleetSnapshot {
    return { ...snapshot, leases: new Map([...snapshot.leases, ...this.held]) };
  }

  #requireUp(): void {
    if (this.isDown) throw new SightlineError('CONTROL_UNREACHABLE', 'redis://redis.example: no answer within 2 s');
  }
}

class TaskDouble implements TaskQueue {
  readonly calls: string[] = [];
  readonly orders: JobOrder[] = [];
  readonly reports = new Map<string, JobReport>();
  readonly letters: DeadLetter[] = [];
  waiting: TaskCounts = { waiting: 0, active: 0, oldestWaitingMs: 0 };
  readonly #requireUp: () => void;

  constructor(requireUp: () => void) {
    this.#requireUp = requireUp;
  }

  async submit(order: JobOrder): Promise<void> {
    this.#requireUp();
    if (this.reports.has(order.id)) throw new SightlineError('JOB_EXISTS', `job "${order.id}": exists`);
    this.orders.push(order);
    this.put({ ...jobReport(order.id), pipeline: order.pipeline, inputs: order.inputs.length, outDir: order.outDir });
  }

  /** Adds or replaces the report of a job. */
  put(report: JobReport): void {
    this.reports.set(report.id, report);
  }

  async jobs(): Promise<readonly JobReport[]> {
    this.#requireUp();
    return [...this.reports.values()].reverse();
  }

  async job(jobId: string): Promise<{ report: JobReport; order: JobOrder; deadLetters: readonly DeadLetter[] }> {
    const report = this.#find(jobId);
    const order = this.orders.find(({ id }) => id === jobId) ?? jobOrder(jobId);
    return { report, order, deadLetters: this.letters.filter((letter) => letter.jobId === jobId) };
  }

  async cancel(jobId: string): Promise<void> {
    this.put({ ...this.#find(jobId), state: 'cancelled', finishedMs: 1 });
    this.calls.push(`cancel ${jobId}`);
  }

  async retry(jobId: string): Promise<number> {
    const report = this.#find(jobId);
    this.put({ ...report, state: 'running', deadLetters: 0, finishedMs: null });
    this.calls.push(`retry ${jobId}`);
    return report.deadLetters;
  }

  async counts(): Promise<TaskCounts> {
    this.#requireUp();
    return this.waiting;
  }

  work(): TaskWorker {
    throw new Error('no test of the view runs tasks');
  }

  #find(jobId: string): JobReport {
    this.#requireUp();
    const report = this.reports.get(jobId);
    if (report === undefined) throw new SightlineError('JOB_NOT_FOUND', `job "${jobId}": not found`, { jobId });
    return report;
  }
}

export function hostCard(id: string, changes: Partial<HostCard> = {}): HostCard {
  return {
    id,
    pipeline: 'street',
    model: 'yolox-nano-480x256, 480x256, onnx cpu f32',
    url: null,
    capacityFps: 200,
    liveFps: 80,
    bulkFps: 20,
    streams: 4,
    segments: 2,
    startedMs: 1,
    version: '0.1.0',
    ...changes,
  };
}

export function jobReport(id: string, changes: Partial<JobReport> = {}): JobReport {
  return {
    id,
    pipeline: 'street',
    state: 'waiting',
    inputs: 1,
    filesDone: 0,
    segments: 0,
    segmentsDone: 0,
    deadLetters: 0,
    progressRatio: 0,
    frames: 0,
    secondsLeft: null,
    createdMs: 0,
    finishedMs: null,
    outDir: '/results',
    ...changes,
  };
}

export function jobOrder(id: string, changes: Partial<JobOrder> = {}): JobOrder {
  return {
    id,
    pipeline: 'street',
    inputs: ['/videos/a.mp4'],
    outDir: '/results',
    track: false,
    every: 1,
    segmentSeconds: 60,
    priority: 0,
    createdMs: 0,
    ...changes,
  };
}
