import { isDeepStrictEqual } from 'node:util';
import { DECODED_FRAMES } from '../../settings/config/stream.ts';
import type { LoweredReport, RemedyBody } from '../../wire/protocol/overload.ts';
import { changesOf, type StreamLoad } from '../telemetry/judge-overload.ts';

type Settings = Required<RemedyBody>;
type Optional = { readonly [K in keyof Settings]: Settings[K] | undefined };

/**
 * Remembers what was lowered while the host was overloaded, by whomever, so that anybody can take it back: until that is done, or somebody
 * changes these settings to something else.
 */
export class LoweredSettings {
  readonly #now = new Map<string, Optional>();
  /** Of the streams that were lowered: their settings before the first time. */
  readonly #before = new Map<string, Optional>();
  #sinceMs = 0;

  /** @param configs - of all streams of the host. */
  update(configs: readonly StreamLoad['config'][], isOverloaded: boolean): { readonly lowered?: LoweredReport } {
    const ids = new Set(configs.map(({ id }) => id));
    for (const map of [this.#now, this.#before]) for (const id of map.keys()) if (!ids.has(id)) map.delete(id);
    for (const config of configs) {
      const [last, now] = [this.#now.get(config.id), settingsOf(config)];
      this.#now.set(config.id, now);
      if (last === undefined || isDeepStrictEqual(last, now)) continue;
      if (isOverloaded && isLower(last, now)) {
        this.#before.set(config.id, this.#before.get(config.id) ?? last);
        this.#sinceMs = Date.now();
      } else this.#before.delete(config.id);
    }
    if (this.#before.size === 0) return {};
    const undo = changesOf(
      [...this.#before].map(([id, before]) => {
        const now = this.#now.get(id)!;
        return [id, differing(before, now), differing(now, before)] as const;
      }),
    );
    return { lowered: { sinceMs: this.#sinceMs, undo } };
  }
}

function settingsOf({ maxFps, maxAgeMs, track, decode }: StreamLoad['config']): Optional {
  const lostMs = typeof track === 'object' ? track.lostMs : undefined;
  return {
    maxFps: maxFps ?? null,
    maxAgeMs,
    decode,
    track: lostMs === undefined ? undefined : { lostMs },
  };
}

function isLower(from: Optional, to: Optional): boolean {
  const fps = ({ maxFps }: Optional): number => maxFps ?? Number.POSITIVE_INFINITY;
  const frames = ({ decode }: Optional): number => DECODED_FRAMES.indexOf(decode!);
  const isMore = fps(to) > fps(from) || frames(to) < frames(from);
  return !isMore && (fps(to) < fps(from) || frames(to) > frames(from));
}

/** What of some settings is otherwise in others. */
function differing(of: Optional, from: Optional): RemedyBody {
  return Object.fromEntries(
    Object.entries(of).filter(([key, value]) => {
      return value !== undefined && !isDeepStrictEqual(value, from[key as keyof Optional]);
    }),
  );
}
