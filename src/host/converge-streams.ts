import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../core/clock.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import type { WantedStream } from './overlay/overlay.ts';

/** A stream can wait for a sink before it closes; after this time the others go on. */
const STEP_MS = 30_000;

/** What can be done with the streams of a host. Each operation rejects if the stream stays as it was. */
export interface StreamActions {
  /** Runs while nobody else changes the stream. */
  alone(id: string, run: () => Promise<void>): Promise<void>;
  /** The stream as it is; null if there is none. */
  now(id: string): WantedStream | null;
  /** The wanted stream; null: it is to be removed. */
  wanted(id: string): WantedStream | null;
  start(wanted: WantedStream): Promise<void>;
  /** Changes the settings, whether it is paused or not. */
  change(wanted: WantedStream): Promise<void>;
  setPaused(id: string, isPaused: boolean): Promise<void>;
  remove(id: string): Promise<void>;
  /** Called for each stream that already has its wanted settings. */
  onSettled(id: string): void;
}

type Outcome = 'added' | 'changed' | 'removed' | 'same';

export interface Convergence {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  readonly failures: readonly { readonly id: string; readonly error: SightlineError }[];
}

/**
 * Gives the streams of a host their wanted settings, one after the other; those that have them already are left alone. One that fails, or
 * takes longer than 30 s, does not stop the others.
 */
export async function convergeStreams(
  actions: StreamActions,
  ids: readonly string[],
  clock: Clock,
): Promise<Convergence> {
  const done: Record<Outcome, string[]> = { added: [], changed: [], removed: [], same: [] };
  const failures: { id: string; error: SightlineError }[] = [];
  for (const id of ids) {
    try {
      done[await inTime(converge(actions, id), clock)].push(id);
    } catch (error) {
      failures.push({ id, error: SightlineError.from(error, 'INTERNAL_ERROR') });
    }
  }
  const { added, changed, removed } = done;
  return { added, changed, removed, failures };
}

/** Opens the sources of streams again that did not change otherwise. @returns the outcome with these streams. */
export async function renewStreams(
  outcome: Convergence,
  ids: readonly string[],
  renew: (id: string) => Promise<void>,
): Promise<Convergence> {
  const { added, changed, failures } = outcome;
  const renewed: string[] = [];
  const failed: Convergence['failures'][number][] = [];
  for (const id of ids) {
    if (added.includes(id) || changed.includes(id)) continue;
    await renew(id).then(
      () => renewed.push(id),
      (error: unknown) => failed.push({ id, error: SightlineError.from(error, 'INTERNAL_ERROR') }),
    );
  }
  return { ...outcome, changed: [...changed, ...renewed], failures: [...failures, ...failed] };
}

async function converge(actions: StreamActions, id: string): Promise<Outcome> {
  let outcome: Outcome = 'same';
  await actions.alone(id, async () => {
    const [now, wanted] = [actions.now(id), actions.wanted(id)];
    if (wanted === null) {
      if (now !== null) await actions.remove(id);
      outcome = now === null ? 'same' : 'removed';
    } else if (now === null) {
      await actions.start(wanted);
      outcome = 'added';
    } else if (!isDeepStrictEqual(now, wanted)) {
      if (!isDeepStrictEqual(now.config, wanted.config)) await actions.change(wanted);
      if (now.isPaused !== wanted.isPaused) await actions.setPaused(id, wanted.isPaused);
      outcome = 'changed';
    }
    actions.onSettled(id);
  });
  return outcome;
}

function inTime<T>(step: Promise<T>, clock: Clock): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.setTimer(
      () => reject(new SightlineError('STREAM_STATE', `it still closes after ${STEP_MS / 1000} s, and follows then`)),
      STEP_MS,
    );
    step.then(resolve, reject).finally(cancel);
  });
}

/** `1 stream added (yard), 2 changed (door, gate); door: no such file`. */
export function convergenceText({ added, changed, removed, failures }: Convergence): string {
  const parts = Object.entries({ added, changed, removed }).flatMap(([what, ids]) =>
    ids.length === 0 ? [] : [`${ids.length} ${what} (${ids.join(', ')})`],
  );
  const failed = failures.map(({ id, error }) => `; ${id} could not follow: ${error.message}`).join('');
  return `streams: ${parts.join(', ') || 'nothing changed'}${failed}`;
}
