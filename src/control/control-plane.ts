import type {
  Assignment,
  BusTopic,
  DeadLetter,
  HostCard,
  JobOrder,
  JobReport,
  Lease,
  StreamOrder,
  Task,
} from '../protocol/fleet.ts';

/**
 * The one interface of the control plane: which host runs which stream, which segment of which file is to be done. Two
 * implementations pass one conformance suite: in memory for one process, and Redis (BullMQ for the queue) for a fleet.
 *
 * Every promise rejects with CONTROL_UNREACHABLE within `commandTimeoutMs` while Redis does not answer; nothing waits for
 * ever and nothing is queued for later. Calls may be repeated: each is idempotent or says what it found.
 */
export interface ControlPlane {
  readonly kind: 'memory' | 'redis';
  readonly state: FleetState;
  readonly bus: FleetBus;
  readonly tasks: TaskQueue;
  /** Resolves when every connection is closed and no handler runs. May be called twice. */
  close(): Promise<void>;
}

/** A host that is gone from the list did not beat for `leaseMs`: its card, its leases and its leadership end together. */
export interface FleetSnapshot {
  /** The control plane's own clock, milliseconds since 1970; the only one that leases are measured by. */
  readonly nowMs: number;
  readonly hosts: readonly HostCard[];
  /** Hosts that an operator drains. */
  readonly draining: ReadonlySet<string>;
  readonly orders: readonly StreamOrder[];
  readonly assignments: ReadonlyMap<string, Assignment>;
  /** Expired ones included until somebody else takes them. */
  readonly leases: ReadonlyMap<string, Lease>;
}

export interface Beat {
  readonly card: HostCard;
  /** Leases that the host holds and wants to keep. */
  readonly held: ReadonlyMap<string, number>;
  /** What the host knew of its assignments when it last asked; the answer leaves them out while this is current. */
  readonly planRevision: number;
}

export interface BeatReply {
  readonly nowMs: number;
  /** Leases of `held` that are not the host's any more: it must stop these streams at once. */
  readonly lost: readonly string[];
  readonly planRevision: number;
  /** What this host is to run; null where nothing changed since `planRevision`. */
  readonly plan: ReadonlyMap<string, { readonly order: StreamOrder; readonly assignment: Assignment }> | null;
  /** An operator wants this host empty: it takes no segments, and the planner moves its streams. */
  readonly isDraining: boolean;
  /** This host is the one that plans for all, until the next beat. */
  readonly isLeader: boolean;
}

export interface FleetState {
  /**
   * Heartbeat, lease renewal, plan and leadership in one round trip. A lease that expired is lost even where nobody took
   * it: the holder may have been stopped for any time, so it must claim again and gets a higher fence.
   *
   * @throws HOST_EXISTS while another process (another `startedMs`) that uses the same id is alive.
   */
  beat(beat: Beat): Promise<BeatReply>;
  /**
   * The host is leaving in order: its card and its draining mark go, its leases are free at once. Nothing happens where
   * the id belongs to another process by now.
   */
  leave(hostId: string, startedMs: number): Promise<void>;
  /**
   * The lease ends with the host's card, so that a later process with the same id can never find it unexpired. A host that
   * claims what it holds gets a new lease, and the old fence is lost.
   *
   * @returns the fence of the new lease; null while another host holds an unexpired one. Fences rise for ever, over restarts
   *   and data loss too.
   * @throws STREAM_NOT_FOUND; HOST_NOT_FOUND where the host did not beat for `leaseMs`.
   */
  claim(streamId: string, hostId: string): Promise<number | null>;
  /** Gives a lease back early. One that is not held any more is no error. */
  release(streamId: string, hostId: string, fence: number): Promise<void>;
  snapshot(): Promise<FleetSnapshot>;
  /** The lease records of some streams, expired ones included; those that have none are left out. One cheap round trip. */
  leases(streamIds: readonly string[]): Promise<ReadonlyMap<string, Lease>>;
  /** Adds or replaces.
   * @param mustBe - `new` throws STREAM_EXISTS, `known` throws STREAM_NOT_FOUND. `revision` is set here. */
  putOrder(order: StreamOrder, mustBe: 'new' | 'known'): Promise<StreamOrder>;
  /** Frees its assignment and its lease as well. @throws STREAM_NOT_FOUND */
  removeOrder(streamId: string): Promise<void>;
  /**
   * Writes the leader's decisions; null takes a stream from its host. Refused (false) where `leaderId` does not lead any
   * more. Streams that were removed meanwhile are passed over.
   */
  assign(leaderId: string, changes: ReadonlyMap<string, Assignment | null>): Promise<boolean>;
  /** Marks a host as draining or ready again; it is told with its next beat. The mark outlives a crash, not `leave`. @throws HOST_NOT_FOUND */
  setDraining(hostId: string, isDraining: boolean): Promise<void>;
}

/** One message of one host. `stream` and `fence` are null for what concerns the host. */
export interface BusMessage {
  readonly topic: BusTopic;
  readonly hostId: string;
  readonly stream: string | null;
  readonly fence: number | null;
  /** JSON. */
  readonly body: unknown;
}

/** Results and statistics from any host to any gateway: at most once, newest first to survive, no queue. */
export interface FleetBus {
  /** Never waits and never throws: while nobody can be reached the message is dropped and counted. */
  publish(message: BusMessage): void;
  /** `stream` null takes those of all streams and of hosts. */
  subscribe(topic: BusTopic, stream: string | null, listener: (message: BusMessage) => void): () => void;
  /** Which streams' `topic` somebody listens to now, of those given: what nobody wants is never encoded. */
  audience(topic: BusTopic, streams: readonly string[]): Promise<ReadonlySet<string>>;
  readonly droppedCount: number;
}

export interface TaskContext {
  /** Aborts when the job is cancelled, the task was taken away, or the worker closes. */
  readonly signal: AbortSignal;
  /** Frames done so far in this task; cheap, told on at most once a second. */
  progress(frames: number): void;
}

/** Does one task; may be called again for the same task, here or elsewhere, so its effects must bear repeating. */
export type TaskHandler = (task: Task, order: JobOrder, context: TaskContext) => Promise<TaskOutcome>;

export interface TaskOutcome {
  readonly frames: number;
  /** Tasks that follow: the children first, then `parent` once all of them are done. */
  readonly next: { readonly parent: Task; readonly children: readonly Task[] } | null;
}

export interface TaskCounts {
  readonly waiting: number;
  readonly active: number;
  readonly oldestWaitingMs: number;
}

export interface TaskWorker {
  /** Takes no new tasks while paused; those begun go on. */
  setPaused(isPaused: boolean): void;
  /** Aborts what runs, gives it back to the queue, and resolves when no handler runs. */
  close(): Promise<void>;
}

export interface TaskQueue {
  /** Puts one `split` task for each input in the queue. A second call with the same id and the same order changes nothing. @throws JOB_EXISTS where the id is taken by another order. */
  submit(order: JobOrder): Promise<void>;
  /** Newest first; finished ones are kept for a while and up to a number. */
  jobs(): Promise<readonly JobReport[]>;
  /** @throws JOB_NOT_FOUND */
  job(
    jobId: string,
  ): Promise<{ readonly report: JobReport; readonly order: JobOrder; readonly deadLetters: readonly DeadLetter[] }>;
  /** Nothing of it is begun any more and what runs is aborted; parts and results that exist stay. @throws JOB_NOT_FOUND */
  cancel(jobId: string): Promise<void>;
  /** Puts the dead letters of a job back in the queue. @returns how many. @throws JOB_NOT_FOUND */
  retry(jobId: string): Promise<number>;
  /** Of one pipeline, or of all where null. */
  counts(pipeline: string | null): Promise<TaskCounts>;
  /** Does tasks of a pipeline, at most `concurrency` at once. Failures are tried again with back-off, except those whose code is not retryable. */
  work(pipeline: string, concurrency: number, handler: TaskHandler): TaskWorker;
}
