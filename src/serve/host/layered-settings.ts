import { isDeepStrictEqual } from 'node:util';
import { addressesOf, type StreamConfig } from '../../settings/config/stream.ts';
import type { PipelineReport } from '../../wire/protocol/rest.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import { type OverlaidStreams, overlaid, overlayEntryOf, type WantedStream } from './overlay/overlay.ts';
import type { OverlayFile } from './overlay/overlay-file.ts';

/** Sections that a running pipeline takes from a file that is read again. */
const RELOADED: ReadonlySet<string> = new Set(['streams', 'defaults', 'stages', 'description', 'placeholders']);

export interface SettingsSources {
  /** Path of the pipeline file. */
  readonly path: string;
  /** null: changes are neither read nor kept. */
  readonly overlay: OverlayFile | null;
}

/** The settings of a running pipeline: its file, and over it what REST and the dashboard changed. */
export class LayeredSettings {
  readonly #atStart: PipelineConfig;
  readonly #sources: SettingsSources | null;
  /** What the file says of each stream, as far as the streams follow it. */
  readonly #bases: Map<string, StreamConfig>;
  readonly #requireFit: (config: StreamConfig) => void;
  #file: PipelineConfig;

  /**
   * @param sources - null for a host whose streams come from orders.
   * @param requireFit - as `overlaid` has it.
   */
  constructor(file: PipelineConfig, sources: SettingsSources | null, requireFit: (config: StreamConfig) => void) {
    this.#requireFit = requireFit;
    this.#atStart = file;
    this.#file = file;
    this.#sources = sources;
    this.#bases = new Map(file.streams.map((stream) => [stream.id, stream]));
  }

  get defaults(): PipelineConfig['defaults'] {
    return this.#file.defaults;
  }

  get file(): PipelineConfig {
    return this.#file;
  }

  get overlay(): OverlayFile | null {
    return this.#sources?.overlay ?? null;
  }

  /** The streams as they are to run. */
  get wanted(): OverlaidStreams {
    return overlaid(this.#file, this.overlay?.streams ?? {}, this.#requireFit);
  }

  /** A stream as it is to run; null if it is not to. */
  wantedOf(id: string): WantedStream | null {
    const { streams, defaults } = this.#file;
    const overlay = this.overlay?.streams ?? {};
    const own = Object.hasOwn(overlay, id) ? { [id]: overlay[id]! } : {};
    const file = { streams: streams.filter((stream) => stream.id === id), defaults };
    return overlaid(file, own, this.#requireFit).streams[0] ?? null;
  }

  /** Why changes of streams do not survive a restart, in one sentence; null if they do. */
  get problem(): string | null {
    const overlay = this.overlay;
    return overlay === null ? 'this process keeps no overlay' : overlay.problem;
  }

  /** Sections of the file that a restart would change. */
  get needsRestart(): readonly string[] {
    const keys = Object.keys({ ...this.#atStart, ...this.#file }) as (keyof PipelineConfig)[];
    return keys.filter((key) => !RELOADED.has(key) && !isDeepStrictEqual(this.#atStart[key], this.#file[key]));
  }

  /** Returns the addresses that the pipeline file names for a stream: the owner's rules for others do not bind them there. */
  readonly ownAddresses = (stream: string): ReadonlySet<string> => {
    const named = [...this.#bases.values(), ...this.#file.streams].filter(({ id }) => id === stream);
    return new Set(named.flatMap(addressesOf));
  };

  /** Takes a file that was read again. The streams follow with `follow`, one by one. */
  setFile(file: PipelineConfig): void {
    this.#file = file;
  }

  /** Notes that a stream has what the file and the overlay say. */
  follow(id: string): void {
    const base = this.#file.streams.find((stream) => stream.id === id);
    if (base === undefined) this.#bases.delete(id);
    else this.#bases.set(id, base);
  }

  /**
   * Keeps how a stream differs from the file now. Never rejects: see `problem`.
   *
   * @param now - null if it was removed.
   */
  async keep(id: string, now: WantedStream | null): Promise<void> {
    const overlay = this.overlay;
    if (overlay === null) return;
    overlay.set(id, overlayEntryOf(this.#bases.get(id) ?? null, this.defaults, now));
    await overlay.save();
  }

  /** @param now - the streams as they run. */
  report(now: readonly WantedStream[]): PipelineReport {
    const overlay = this.overlay;
    return {
      name: this.#atStart.name,
      path: this.#sources?.path ?? null,
      file: this.#file,
      overlay:
        overlay === null
          ? null
          : { path: overlay.path, streams: overlay.streams, notes: this.wanted.notes, problem: overlay.problem },
      keepingProblem: this.problem,
      effective: {
        ...this.#atStart,
        stages: this.#file.stages,
        defaults: this.defaults,
        streams: now.map(({ config }) => config),
      },
      paused: now.filter(({ isPaused }) => isPaused).map(({ config }) => config.id),
      needsRestart: this.needsRestart,
    };
  }
}
