import { counted } from '../../../base/core/counted.ts';
import type { EventKind } from '../../../wire/protocol/feed.ts';
import type { Assignment } from '../../../wire/protocol/fleet.ts';
import type { FleetSnapshot } from '../control-plane.ts';
import type { PipelineMemory, PlannedStream } from './plan-pipeline.ts';
import type { RateCut } from './rate-ladder.ts';

/** An event about a plan, for the operator. */
export interface PlanNote {
  readonly kind: EventKind;
  /** Null if it concerns the fleet. */
  readonly stream: string | null;
  /** One English sentence. */
  readonly message: string;
  readonly details: Readonly<Record<string, string | number | boolean | null>>;
}

export interface PlannedPipeline {
  readonly streams: readonly PlannedStream[];
  readonly changes: ReadonlyMap<string, Assignment | null>;
  readonly rates: ReadonlyMap<string, number>;
  readonly refused: ReadonlyMap<string, string>;
  readonly rateCut: RateCut | null;
}

/** State after the previous round. */
export interface RoundBefore {
  readonly pipelines: ReadonlyMap<string, PipelineMemory>;
  readonly hosts: ReadonlySet<string>;
  readonly refused: ReadonlySet<string>;
}

/** Describes the changes from one planning round to the next. */
export class NoteWriter {
  readonly #snapshot: FleetSnapshot;
  readonly #previous: RoundBefore | null;
  readonly #live: ReadonlySet<string>;
  readonly #notes: PlanNote[] = [];

  constructor(snapshot: FleetSnapshot, previous: RoundBefore | null) {
    this.#snapshot = snapshot;
    this.#previous = previous;
    this.#live = new Set(snapshot.hosts.map(({ id }) => id));
    if (previous !== null) this.#ofHosts(previous.hosts);
  }

  get all(): readonly PlanNote[] {
    return this.#notes;
  }

  ofPipeline(pipeline: string, plan: PlannedPipeline): void {
    for (const stream of plan.streams) this.#ofStream(pipeline, stream, plan);
    const before = this.#previous?.pipelines.get(pipeline)?.rateCut ?? null;
    const refused = plan.streams.filter(({ id }) => plan.refused.has(id));
    const refusedBefore = plan.streams.filter(({ id }) => this.#previous?.refused.has(id) ?? false);
    const isSame = before?.priority === plan.rateCut?.priority && before?.step === plan.rateCut?.step;
    if (isSame && refused.length === refusedBefore.length) return;
    const total = plan.streams.length;
    const reduced = plan.streams.filter(
      ({ id, wantFps }) => !plan.refused.has(id) && plan.rates.get(id)! < wantFps,
    ).length;
    const isFull = reduced > 0 || refused.length > 0;
    const isIdle = total > 0 && refused.length === total;
    const message = isIdle
      ? `no stream of pipeline "${pipeline}" runs: ${plan.refused.get(refused[0]!.id)}`
      : isFull
        ? `pipeline "${pipeline}" is full: of ${counted(total, 'stream')} ${reduced} run at a lower rate and ${refused.length} do not run`
        : `pipeline "${pipeline}" has room again: ${counted(total, 'stream')} at full rate`;
    this.#add('fleet-full', null, message, {
      pipeline,
      isFull,
      streams: total,
      reduced,
      refused: refused.length,
    });
  }

  #ofHosts(before: ReadonlySet<string>): void {
    const { hosts, leases } = this.#snapshot;
    for (const { id, pipeline, capacityFps } of hosts) {
      if (before.has(id)) continue;
      this.#add('host-joined', null, `host ${id} joined: ${capacityFps} inferences/s for pipeline "${pipeline}"`, {
        host: id,
        pipeline,
        capacityFps,
      });
    }
    for (const id of before) {
      if (this.#live.has(id)) continue;
      // A host that leaves cleanly releases its leases first.
      const streams = [...leases.values()].filter(({ hostId }) => hostId === id).length;
      const how = streams === 0 ? 'left' : `is gone with ${counted(streams, 'stream')}: no heartbeat came`;
      this.#add('host-lost', null, `host ${id} ${how}`, { host: id, streams });
    }
  }

  #ofStream(pipeline: string, stream: PlannedStream, { changes, rates, refused }: PlannedPipeline): void {
    const { id, currentHost, wantFps, grantedFps } = stream;
    const why = refused.get(id);
    if (why !== undefined) {
      if (!(this.#previous?.refused.has(id) ?? false))
        this.#add('stream-refused', id, `${id} does not run: ${why}`, { pipeline });
      return;
    }
    const change = changes.get(id);
    if (change === undefined || change === null) return;
    if (change.hostId !== currentHost) {
      const from = currentHost === null ? '' : `, from ${currentHost}: ${this.#whyMoved(stream, change.hostId)}`;
      this.#add('stream-placed', id, `${id} goes to host ${change.hostId}${from}`, {
        host: change.hostId,
        from: currentHost,
      });
    }
    if (change.maxFps === grantedFps) return;
    const fps = rates.get(id)!;
    const details = { fps, wantFps, pipeline };
    if (change.maxFps !== null && (grantedFps === null || change.maxFps < grantedFps)) {
      const cause = fps < wantFps ? `pipeline "${pipeline}" is full` : 'no host has more capacity';
      this.#add('stream-reduced', id, `${id} is held to ${fps} inferences/s: ${cause}`, details);
    } else this.#add('stream-restored', id, `${id} may use ${fps} inferences/s again`, details);
  }

  #whyMoved({ currentHost, wantedHost }: PlannedStream, to: string): string {
    if (!this.#live.has(currentHost!)) return 'that host is gone';
    if (this.#snapshot.draining.has(currentHost!)) return 'that host is draining';
    return wantedHost === to ? 'an operator wants it there' : 'its place is needed, or load was uneven';
  }

  #add(kind: EventKind, stream: string | null, message: string, details: PlanNote['details']): void {
    this.#notes.push({ kind, stream, message, details });
  }
}
