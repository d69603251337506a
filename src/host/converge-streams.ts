import { isDeepStrictEqual } from 'node:util';
import { SightlineError } from '../errors/sightline-error.ts';
import type { WantedStream } from './overlay/overlay.ts';

/** What can be done with the streams of a host. Each operation rejects if the stream stays as it was. */
export interface StreamActions {
  current(): readonly WantedStream[];
  start(wanted: WantedStream): Promise<void>;
  /** Changes the settings, whether it is paused or not. */
  change(wanted: WantedStream): Promise<void>;
  setPaused(id: string, isPaused: boolean): Promise<void>;
  remove(id: string): Promise<void>;
  /** Called for each stream that has what is wanted. */
  onSettled(id: string): void;
}

export interface Convergence {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  readonly failures: readonly { readonly id: string; readonly error: SightlineError }[];
}

/** Makes the streams of a host those that are wanted, and leaves alone what is so already. One that fails does not stop the others. */
export async function convergeStreams(actions: StreamActions, wanted: readonly WantedStream[]): Promise<Convergence> {
  const [added, changed, removed]: [string[], string[], string[]] = [[], [], []];
  const failures: { id: string; error: SightlineError }[] = [];
  const before = new Map(actions.current().map((stream) => [stream.config.id, stream]));
  const attempt = async (id: string, list: string[], run: () => Promise<void>): Promise<void> => {
    try {
      await run();
      actions.onSettled(id);
      list.push(id);
    } catch (error) {
      failures.push({ id, error: SightlineError.from(error, 'INTERNAL_ERROR') });
    }
  };
  const kept = new Set(wanted.map(({ config }) => config.id));
  // First, so that there is room for others.
  for (const id of before.keys()) if (!kept.has(id)) await attempt(id, removed, () => actions.remove(id));
  for (const stream of wanted) {
    const { config, isPaused } = stream;
    const { id } = config;
    const now = before.get(id);
    if (now === undefined) await attempt(id, added, () => actions.start(stream));
    else if (isDeepStrictEqual(now.config, config) && now.isPaused === isPaused) actions.onSettled(id);
    else
      await attempt(id, changed, async () => {
        if (!isDeepStrictEqual(now.config, config)) await actions.change(stream);
        if (now.isPaused !== isPaused) await actions.setPaused(id, isPaused);
      });
  }
  return { added, changed, removed, failures };
}

/** `1 stream added (yard), 2 changed (door, gate); door: no such file`. */
export function convergenceText({ added, changed, removed, failures }: Convergence): string {
  const parts = Object.entries({ added, changed, removed }).flatMap(([what, ids]) =>
    ids.length === 0 ? [] : [`${ids.length} ${what} (${ids.join(', ')})`],
  );
  const failed = failures.map(({ id, error }) => `; ${id} could not follow: ${error.message}`).join('');
  return `streams: ${parts.join(', ') || 'nothing changed'}${failed}`;
}
