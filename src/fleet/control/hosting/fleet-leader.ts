import type { Incidents } from '../../../base/flow/incidents.ts';
import type { EventMessage } from '../../../wire/protocol/feed.ts';
import type { ControlPlane } from '../control-plane.ts';
import { type PlanMemory, planFleet } from '../planning/plan-fleet.ts';
import type { PlanNote } from '../planning/plan-notes.ts';
import type { PlanOptions } from '../planning/plan-options.ts';

export interface FleetLeaderOptions {
  readonly control: Pick<ControlPlane, 'state' | 'bus'>;
  readonly hostId: string;
  readonly plan: PlanOptions;
  /** Counts rounds that failed. */
  readonly incidents: Incidents;
}

/** Plans for the fleet while this host is the leader. */
export class FleetLeader {
  readonly #options: FleetLeaderOptions;
  #memory: PlanMemory | null = null;
  #isPlanning = false;
  /** Rises when leadership ends, so that a round begun in an earlier term does not keep its memory. */
  #term = 0;

  constructor(options: FleetLeaderOptions) {
    this.#options = options;
  }

  /** Called when another host leads: the memory would be outdated if this host leads again. */
  resign(): void {
    this.#memory = null;
    this.#term += 1;
  }

  /** Reads the fleet's state and plans. A call during another does nothing: the next heartbeat calls again. */
  async round(): Promise<void> {
    if (this.#isPlanning) return;
    this.#isPlanning = true;
    try {
      await this.#round();
    } catch (error) {
      // It is unknown which changes were written, so the next round starts from the state of the fleet.
      this.#memory = null;
      this.#options.incidents.fail('planning', error);
    } finally {
      this.#isPlanning = false;
    }
  }

  async #round(): Promise<void> {
    const { hostId, plan: options } = this.#options;
    const { state } = this.#options.control;
    const term = this.#term;
    const snapshot = await state.snapshot();
    const { changes, notes, memory } = planFleet(snapshot, this.#memory, options);
    if (changes.size > 0 && !(await state.assign(hostId, changes))) {
      this.#memory = null;
      return;
    }
    if (term === this.#term) this.#memory = memory;
    for (const note of notes) this.#publishNote(note, snapshot.nowMs);
    const hosts = new Set<string>();
    for (const [id, change] of changes)
      for (const host of [change?.hostId, snapshot.assignments.get(id)?.hostId])
        if (host !== undefined) hosts.add(host);
    if (hosts.size > 0) this.#publish('wake', { hosts: [...hosts] });
  }

  #publishNote({ kind, stream, message, details }: PlanNote, nowMs: number): void {
    const body: EventMessage = {
      type: 'event',
      timeMs: Math.floor(nowMs),
      kind,
      ...(stream === null ? {} : { stream }),
      message,
      details,
    };
    this.#publish('events', body);
  }

  #publish(topic: 'wake' | 'events', body: unknown): void {
    const { control, hostId } = this.#options;
    control.bus.publish({ topic, hostId, stream: null, fence: null, body });
  }
}
