import { changeGateOf, type SkipConfig } from '../../config/skip.ts';
import type { StreamConfig } from '../../config/stream.ts';
import { inputKey, type ModelSpec } from '../../core/model.ts';
import type { LaneStream } from '../../protocol/threads.ts';

/** Another model that shares a stream's frames, and the frames that a stream with its settings skips. */
export interface Beside {
  readonly instance: string;
  readonly skip: SkipConfig;
}

/** The settings of a stream, the model that infers it, and the one that it is compared with; null if there is none. */
export interface Arrangement {
  readonly config: StreamConfig;
  readonly instance: string;
  readonly beside: Beside | null;
}

/** What a lane makes of a frame beyond the input of the stream's own model. */
export interface SharedFrames extends Pick<LaneStream, 'changeGate' | 'keepsInput'> {
  /** Model with another input, which is made as well; null if there is none. */
  readonly second: ModelSpec | null;
}

type SpecOf = (instance: string) => ModelSpec;

/** Returns what the frames must hold, so that both models of an arrangement can infer them. */
export function sharedFrames({ config, instance, beside }: Arrangement, specOf: SpecOf): SharedFrames {
  const own = changeGateOf(config.skip);
  if (beside === null) return { second: null, changeGate: own, keepsInput: false };
  const other = changeGateOf(beside.skip);
  const spec = specOf(beside.instance);
  const isSameInput = inputKey(specOf(instance)) === inputKey(spec);
  return {
    second: isSameInput ? null : spec,
    changeGate: own ?? other,
    // The one without a gate infers unchanged pictures.
    keepsInput: (own === null) !== (other === null),
  };
}

/** Names everything that a lane does for an arrangement. The order of both models makes no difference. */
export function laneKey(arrangement: Arrangement, specOf: SpecOf): string {
  const { config, instance } = arrangement;
  const { second, changeGate, keepsInput } = sharedFrames(arrangement, specOf);
  const inputs = [specOf(instance), ...(second === null ? [] : [second])].map(inputKey).sort();
  const { skip: _skip, queueSize: _size, maxAgeMs: _age, target: _target, priority: _p, weight: _w, ...read } = config;
  return JSON.stringify([Object.entries(read).sort(([a], [b]) => (a < b ? -1 : 1)), changeGate, keepsInput, inputs]);
}
