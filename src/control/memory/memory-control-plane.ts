import { type Clock, systemClock } from '../../core/clock.ts';
import type { Incidents } from '../../flow/incidents.ts';
import type { ControlPlane } from '../control-plane.ts';
import { StoredRollouts } from '../state/stored-rollouts.ts';
import { StoredState } from '../state/stored-state.ts';
import { MemoryStore } from '../store/memory-store.ts';
import type { TaskPolicy } from '../tasks/task-policy.ts';
import { MemoryBus } from './memory-bus.ts';
import { MemoryTasks } from './memory-tasks.ts';

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
  const tasks = new MemoryTasks({ clock, policy: taskPolicy });
  return {
    kind: 'memory',
    state: new StoredState({ store, leaseMs, incidents }),
    bus: new MemoryBus(incidents),
    tasks,
    // The state cannot be lost while the process runs.
    trouble: null,
    onAlarm: () => () => {},
    rollouts: (pipeline) => new StoredRollouts({ store, leaseMs, pipeline, incidents }),
    close: () => tasks.close(),
  };
}
