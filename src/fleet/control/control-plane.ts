import type {
  Assignment,
  BusTopic,
  DeadLetter,
  HostCard,
  JobOrder,
  JobReport,
  KeptEvent,
  Lease,
  StreamOrder,
  Task,
} from '../../wire/protocol/fleet.ts';
import type { RolloutStore } from './rollout/rollout-store.ts';

/**
 * The interface of the control plane: which host runs which stream, which tasks of which job are to be done, and which roll-out is
 * at which step. The rules are the same for one process, in memory, and for a fleet, in Redis (with BullMQ for the queue); one
 * conformance suite tests both.
 *
 * Every promise rejects with CONTROL_UNREACHABLE within `commandTimeoutMs` while Redis does not answer; nothing waits
 * forever and nothing is queued for later. Calls may be repeated: each is idempotent or returns what it found.
 */
export interface ControlPlane {
  readonly kind: 'memory' | 'redis';
  readonly state: FleetState;
  readonly events: FleetEvents;
  readonly bus: FleetBus;
  readonly tasks: TaskQueue;
  /** Why hosts should not count as ready, in one sentence; null if nothing is wrong with the control plane itself. */
  readonly trouble: string | null;
  /** @returns a function that removes the listener. */
  onAlarm(listener: (alarm: FleetAlarm) => void): () => void;
  /** The roll-out of a pipeline. */
  rollouts(pipeline: string): RolloutStore;
  /** Resolves when every connection is closed and no handler runs. Idempotent. */
  close(): Promise<void>;
}

/** A host without a heartbeat for `leaseMs` is not listed: its card, its leases and its leadership expire together. */
export interface FleetSnapshot {
  /** The control plane's clock, milliseconds since 1970. Leases are measured by this clock only. */
  readonly nowMs: number;
  readonly hosts: readonly HostCard[];
  /** Hosts that an operator is draining. */
  readonly draining: ReadonlySet<string>;
  readonly orders: readonly StreamOrder[];
  readonly assignments: ReadonlyMap<string, Assignment>;
  /** Includes expired leases that no other host has claimed yet. */
  readonly leases: ReadonlyMap<string, Lease>;
}

export interface Beat {
  readonly card: HostCard;
  /** Leases to renew: fence by stream. */
  readonly held: ReadonlyMap<string, number>;
  /** Revision of the plan that the host has; the reply omits the plan while this is current. */
  readonly planRevision: number;
}

export interface BeatReply {
  readonly nowMs: number;
  /** Leases of `held` that the host no longer has: it must stop these streams at once. */
  readonly lost: readonly string[];
  readonly planRevision: number;
  /** What this host must run; null if nothing changed since `planRevision`. */
  readonly plan: ReadonlyMap<string, { readonly order: StreamOrder; readonly assignment: Assignment }> | null;
  /** An operator is draining this host: it takes no segments, and the planner moves its streams away. */
  readonly isDraining: boolean;
  /** This host plans for the fleet until its next heartbeat. */
  readonly isLeader: boolean;
  /** Removed streams of this host's pipeline that have open events. The host that gets their lease ends these. */
  readonly ending: readonly string[];
}

/** Something that an operator must know about the control plane itself. */
export interface FleetAlarm {
  readonly kind: 'fleet-state-lost' | 'control-unsuitable' | 'control-suitable';
  readonly message: string;
  readonly details: Readonly<Record<string, string | number>>;
}

export interface FleetState {
  /**
   * Heartbeat, lease renewal, plan and leadership in one round trip. An expired lease is lost even if no other host claimed
   * it: the holder may have been suspended for any time, so it must claim again and gets a higher fence.
   *
   * @throws HOST_EXISTS while another process (another `startedMs`) with the same id is alive.
   */
  beat(beat: Beat): Promise<BeatReply>;
  /**
   * Removes the host's card, its draining mark and its leases, which other hosts can claim at once. Does nothing if the id
   * now belongs to another process.
   */
  leave(hostId: string, startedMs: number): Promise<void>;
  /**
   * Claims the lease of a stream. It expires with the host's card, so that a later process with the same id never finds it
   * unexpired. A host that claims a stream that it holds gets a new lease, and the old fence is lost.
   *
   * @returns the fence of the new lease; null while another host holds an unexpired one. Fences always rise, across restarts
   *   and data loss too.
   * @throws STREAM_NOT_FOUND, unless it has left events; HOST_NOT_FOUND if the host sent no heartbeat for `leaseMs`.
   */
  claim(streamId: string, hostId: string): Promise<number | null>;
  /** Releases a lease early. Does nothing if it is no longer held. */
  release(streamId: string, hostId: string, fence: number): Promise<void>;
  snapshot(): Promise<FleetSnapshot>;
  /** Returns the lease records of these streams, including expired ones; streams without one are omitted. One round trip. */
  leases(streamIds: readonly string[]): Promise<ReadonlyMap<string, Lease>>;
  /** Adds an order and sets its `revision`. @throws STREAM_EXISTS */
  addOrder(order: StreamOrder): Promise<StreamOrder>;
  /**
   * Replaces the order with the `revision` that the new one names, and sets a higher one: of two changes made from the same
   * order, one is written.
   *
   * @returns null if the stored order has another revision; nothing is written then.
   * @throws STREAM_NOT_FOUND
   */
  replaceOrder(order: StreamOrder): Promise<StreamOrder | null>;
  /**
   * Removes the assignment and the lease as well. A stream with events keeps its lease, so that its host can end them.
   *
   * @throws STREAM_NOT_FOUND
   */
  removeOrder(streamId: string): Promise<void>;
  /**
   * Writes the leader's decisions; null removes a stream from its host. Returns false and writes nothing if `leaderId` is no
   * longer the leader. Streams that were removed meanwhile are left out.
   */
  assign(leaderId: string, changes: ReadonlyMap<string, Assignment | null>): Promise<boolean>;
  /**
   * Marks a host as draining or ready; it learns this with its next heartbeat. The mark survives a crash, but not `leave`.
   *
   * @throws HOST_NOT_FOUND
   */
  setDraining(hostId: string, isDraining: boolean): Promise<void>;
}

/** What the fleet knows of the events of its streams, so that each has one `new` and one `end` whatever happens to hosts. */
export interface FleetEvents {
  /**
   * Keeps or replaces events of a stream, by their ids; null removes one. All or nothing.
   *
   * @returns false, and writes nothing, unless the host holds the unexpired lease with this fence.
   */
  keep(
    streamId: string,
    hostId: string,
    fence: number,
    changes: ReadonlyMap<string, KeptEvent | null>,
  ): Promise<boolean>;
  /** Returns what is kept of a stream, by id; null: it cannot be read. */
  kept(streamId: string): Promise<ReadonlyMap<string, KeptEvent | null>>;
  /** Returns whether a host should run the stream: it is ordered, and not paused. */
  isWanted(streamId: string): Promise<boolean>;
}

/** A message from a host. `stream` and `fence` are null if it concerns the host as a whole. */
export interface BusMessage {
  readonly topic: BusTopic;
  readonly hostId: string;
  readonly stream: string | null;
  readonly fence: number | null;
  /** JSON. */
  readonly body: unknown;
}

/** Carries results and statistics from any host to any gateway: at-most-once delivery, no queue. */
export interface FleetBus {
  /** Never blocks and never throws: without a connection the message is dropped and counted. */
  publish(message: BusMessage): void;
  /** @param stream - null subscribes to messages of all streams and of hosts. @returns a function that unsubscribes. */
  subscribe(topic: BusTopic, stream: string | null, listener: (message: BusMessage) => void): () => void;
  /** Returns those of `streams` whose `topic` has subscribers now, so that the publisher encodes nothing for the others. */
  audience(topic: BusTopic, streams: readonly string[]): Promise<ReadonlySet<string>>;
  readonly droppedCount: number;
}

export interface TaskContext {
  /** Aborts when the job is cancelled, this worker loses the task, or the worker closes. */
  readonly signal: AbortSignal;
  /** Reports the frames done so far in this task. Cheap: passed on at most once a second. */
  progress(frames: number): void;
}

/** Runs one task. May run again for the same task, on this or another host, so it must be idempotent. */
export type TaskHandler = (task: Task, order: JobOrder, context: TaskContext) => Promise<TaskOutcome>;

export interface TaskOutcome {
  readonly frames: number;
  /** Tasks that follow: the children, then `parent` once all of them are done. */
  readonly next: { readonly parent: Task; readonly children: readonly Task[] } | null;
}

export interface TaskCounts {
  readonly waiting: number;
  readonly active: number;
  readonly oldestWaitingMs: number;
}

export interface TaskWorker {
  /** A paused worker takes no new tasks; running ones continue. */
  setPaused(isPaused: boolean): void;
  /** Aborts running tasks, returns them to the queue, and resolves when no handler runs. */
  close(): Promise<void>;
}

export interface TaskQueue {
  /**
   * Queues one `split` task for each input. A second call with the same id and order changes nothing.
   *
   * @throws JOB_EXISTS if another order has this id.
   */
  submit(order: JobOrder): Promise<void>;
  /** Newest first. Finished jobs are removed by age and number (`TaskPolicy`). */
  jobs(): Promise<readonly JobReport[]>;
  /** @throws JOB_NOT_FOUND */
  job(
    jobId: string,
  ): Promise<{ readonly report: JobReport; readonly order: JobOrder; readonly deadLetters: readonly DeadLetter[] }>;
  /** Removes queued tasks and aborts running ones; existing results stay, of segments too. @throws JOB_NOT_FOUND */
  cancel(jobId: string): Promise<void>;
  /** Requeues the dead letters of a job. @returns how many. @throws JOB_NOT_FOUND */
  retry(jobId: string): Promise<number>;
  /** @param pipeline - null for all pipelines. */
  counts(pipeline: string | null): Promise<TaskCounts>;
  /** Runs tasks of a pipeline, at most `concurrency` at once. Failures are retried with back-off unless their code is not retryable. */
  work(pipeline: string, concurrency: number, handler: TaskHandler): TaskWorker;
}
