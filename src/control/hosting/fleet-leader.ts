import type { EventMessage } from '../../protocol/feed.ts';
import type { ControlPlane } from '../control-plane.ts';
import { type PlanMemory, planFleet } from '../planning/plan-fleet.ts';
import type { PlanNote } from '../planning/plan-notes.ts';
import type { PlanOptions } from '../planning/plan-options.ts';

export interface FleetLeaderOptions {
  readonly control: Pick<ControlPlane, 'state' | 'bus'>;
  readonly hostId: string;
  readonly plan: PlanOptions;
}

/** The part of a host that plans for all, while it is the one that leads. */
export class FleetLeader {
  readonly #options: FleetLeaderOptions;
  #memory: PlanMemory | null = null;
  #isPlanning = false;
  /** Rises when leadership ends: what a round of an earlier term finds is not remembered. */
  #term = 0;

  constructor(options: FleetLeaderOptions) {
    this.#options = options;
  }

  /** Another host leads: what this one remembers is old by the time that it leads again. */
  resign(): void {
    this.#memory = null;
    this.#term += 1;
  }

  /** Looks at the fleet and decides. A call while another is under way does nothing: the next heartbeat calls again. */
  async round(): Promise<void> {
    if (this.#isPlanning) return;
    this.#isPlanning = true;
    try {
      await this.#round();
    } catch {
      // What was written is not known; the fleet itself is what the next round goes on from.
      this.#memory = null;
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
    for (const note of notes) this.#tell(note, snapshot.nowMs);
    const hosts = new Set<string>();
    for (const [id, change] of changes)
      for (const host of [change?.hostId, snapshot.assignments.get(id)?.hostId])
        if (host !== undefined) hosts.add(host);
    if (hosts.size > 0) this.#publish('wake', { hosts: [...hosts] });
  }

  #tell({ kind, stream, message, details }: PlanNote, nowMs: number): void {
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
