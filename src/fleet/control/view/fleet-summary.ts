import { type Clock, systemClock } from '../../../base/core/clock.ts';
import type { FleetHost } from '../../../wire/protocol/fleet-report.ts';
import type { StreamReport } from '../../../wire/protocol/report.ts';
import type { ControlPlane, FleetSnapshot } from '../control-plane.ts';
import { FleetInbox } from './fleet-inbox.ts';
import { mergeStreams } from './merge-streams.ts';

/** Hosts look once a second if somebody follows, and report once a second. */
const TIMEOUT_MS = 3_500;
const CHECK_EVERY_MS = 50;

export interface FleetSummary {
  readonly hosts: readonly FleetHost[];
  readonly streams: readonly StreamReport[];
  /** Of a host outside a fleet: what is short, and what helps, while more is asked of it than it can do. */
  readonly overload?: string;
}

/**
 * Reads the state of the fleet once: waits until every host has reported its statistics, at most 3.5 s.
 *
 * @throws CONTROL_UNREACHABLE
 */
export async function readFleetSummary({ bus, state }: ControlPlane): Promise<FleetSummary> {
  const inbox = new FleetInbox({ bus, state, clock: systemClock });
  try {
    inbox.follow(true);
    const snapshot = await state.snapshot();
    inbox.update(snapshot);
    await allReported(inbox, snapshot, systemClock);
    const nowMs = systemClock.now();
    const hosts = inbox.hosts.hosts(nowMs);
    const stats = inbox.hosts.fresh(nowMs);
    return { hosts, streams: mergeStreams({ snapshot, stats, fences: inbox.fences }).streams };
  } finally {
    inbox.close();
  }
}

/** Resolves once every host has reported its statistics, or has had the time for it. */
export async function allReported(inbox: FleetInbox, { hosts }: FleetSnapshot, clock: Clock): Promise<void> {
  const deadlineMs = clock.now() + TIMEOUT_MS;
  const isComplete = (): boolean => hosts.every(({ id }) => inbox.hosts.fresh(clock.now()).has(id));
  while (!isComplete() && clock.now() < deadlineMs)
    await new Promise<void>((resolve) => clock.setTimer(resolve, CHECK_EVERY_MS));
}
