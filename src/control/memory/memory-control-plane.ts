import { type Clock, systemClock } from '../../core/clock.ts';
import type { Incidents } from '../../flow/incidents.ts';
import type { ControlPlane } from '../control-plane.ts';
import type { TaskPolicy } from '../tasks/task-policy.ts';
import { MemoryBus } from './memory-bus.ts';
import { MemoryRollouts } from './memory-rollouts.ts';
import { MemoryState } from './memory-state.ts';
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
  const tasks = new MemoryTasks({ clock, policy: taskPolicy });
  const rollouts = new Map<string, MemoryRollouts>();
  return {
    kind: 'memory',
    state: new MemoryState({ clock, leaseMs }),
    bus: new MemoryBus(incidents),
    tasks,
    // The state cannot be lost while the process runs.
    trouble: null,
    onAlarm: () => () => {},
    rollouts(pipeline) {
      const known = rollouts.get(pipeline) ?? new MemoryRollouts({ clock, leaseMs, pipeline });
      rollouts.set(pipeline, known);
      return known;
    },
    close: () => tasks.close(),
  };
}
