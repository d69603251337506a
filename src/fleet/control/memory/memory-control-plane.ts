import { type Clock, systemClock } from '../../../base/core/clock.ts';
import { Incidents } from '../../../base/flow/incidents.ts';
import type { ControlPlane } from '../control-plane.ts';
import { Notices } from '../notices.ts';
import { StoredEvents } from '../state/stored-events.ts';
import { StoredRollouts } from '../state/stored-rollouts.ts';
import { StoredState } from '../state/stored-state.ts';
import { MemoryStore } from '../store/memory-store.ts';
import { StoredTasks } from '../tasks/stored-tasks.ts';
import { DEFAULT_TASK_POLICY, type TaskPolicy } from '../tasks/task-policy.ts';
import { MemoryBroker } from './memory-broker.ts';
import { MemoryBus } from './memory-bus.ts';

export interface MemoryControlPlaneOptions {
  /** A host without a heartbeat for this long loses its streams. */
  readonly leaseMs: number;
  readonly clock?: Clock;
  readonly taskPolicy?: Partial<TaskPolicy>;
  readonly incidents?: Incidents;
}

/** Creates the control plane of one process: it connects to nothing, and its state ends with the process. */
export function openMemoryControlPlane({
  leaseMs,
  clock = systemClock,
  taskPolicy = {},
  incidents,
}: MemoryControlPlaneOptions): ControlPlane {
  const store = new MemoryStore(clock);
  const policy = { ...DEFAULT_TASK_POLICY, ...taskPolicy };
  const notices = new Notices(() => {}, clock);
  const broker = new MemoryBroker({ clock, policy });
  const tasks = new StoredTasks({ store, broker, policy, notices, incidents: incidents ?? new Incidents(), clock });
  return {
    kind: 'memory',
    state: new StoredState({ store, leaseMs, incidents }),
    events: new StoredEvents({ store, incidents }),
    bus: new MemoryBus(incidents),
    tasks,
    // The state cannot be lost while the process runs.
    trouble: null,
    onAlarm: () => () => {},
    rollouts: (pipeline) => new StoredRollouts({ store, leaseMs, pipeline, incidents }),
    close: () => tasks.close(),
  };
}
