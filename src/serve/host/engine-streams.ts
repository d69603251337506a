import { SightlineError } from '../../base/errors/sightline-error.ts';
import { unlessAborted } from '../../base/flow/unless-aborted.ts';
import type { StreamSettings } from '../../settings/config/keys/stream-keys.ts';
import { parseStream } from '../../settings/config/parse-stream.ts';
import { LANE_KEYS } from '../../settings/config/stream.ts';
import type { StreamReport } from '../../wire/protocol/report.ts';
import type { StreamChange } from '../../wire/protocol/rest.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import { signalOf } from './call-options.ts';
import type { PipelineHost } from './pipeline-host.ts';
import { PUSHED } from './push-source.ts';
import { PushedStream } from './pushed-stream.ts';

/** Settings of a lane that pictures have as well which a program hands over. */
const OF_PICTURES = ['policy', 'region', 'tiles', 'masks'] as const;
/** Which frames of a source are taken. These are refused later, since `defaults` can have them too. */
const OF_CHOICE = ['every', 'maxFps'] as const;
type OfSource = Exclude<(typeof LANE_KEYS)[keyof typeof LANE_KEYS][number], (typeof OF_PICTURES)[number]>;

/** Settings that say how a source is read. */
const OF_SOURCES = ['source', ...Object.values(LANE_KEYS).flat()].filter(
  (key) => !(OF_PICTURES as readonly string[]).includes(key) && !(OF_CHOICE as readonly string[]).includes(key),
);

/**
 * Settings of a stream whose pictures the program hands over: those of any stream, except how a source is read and which of its frames
 * are taken. With `policy: 'live'` the oldest pictures are dropped while the detector is busy; by default none is.
 */
export type PushedStreamSettings = Omit<StreamSettings, 'source' | OfSource>;

/** The addresses that the program itself has named for each stream. */
export type OwnSources = Map<string, Set<string>>;

/** The streams of an engine. */
export class EngineStreams {
  readonly #host: PipelineHost;
  readonly #config: PipelineConfig;
  readonly #ownSources: OwnSources;
  readonly #requireOpen: () => void;

  /** @internal */
  constructor(host: PipelineHost, config: PipelineConfig, ownSources: OwnSources, requireOpen: () => void) {
    this.#host = host;
    this.#config = config;
    this.#ownSources = ownSources;
    this.#requireOpen = requireOpen;
  }

  /**
   * Adds a stream and opens its source.
   *
   * @throws CONFIG_INVALID, STREAM_EXISTS, LIMIT_REACHED, SOURCE_*; the reason of the signal, and then it is not added.
   */
  async add(stream: StreamSettings, options: { readonly signal?: AbortSignal } = {}): Promise<StreamReport> {
    this.#requireOpen();
    const signal = signalOf(options, 'add');
    this.#ownSource(stream?.id, stream);
    return unlessAborted(this.#host.addStream(stream), signal, ({ id }) => this.remove(id));
  }

  /**
   * Adds a stream whose pictures the program hands over.
   *
   * @throws CONFIG_INVALID, also for a setting that `PushedStreamSettings` lacks; STREAM_EXISTS, LIMIT_REACHED
   */
  async push(stream: PushedStreamSettings): Promise<PushedStream> {
    this.#requireOpen();
    const wrong = OF_SOURCES.find((key) => Object.hasOwn(stream ?? {}, key));
    if (wrong !== undefined)
      throw new SightlineError(
        'CONFIG_INVALID',
        `push: ${wrong}: the program hands over each picture of this stream; leave it out`,
      );
    const config = parseStream({ ...stream, source: PUSHED }, this.#config.defaults);
    return PushedStream.open(config, this.#host.streams, this.#requireOpen);
  }

  /**
   * Changes some settings of a stream; the others stay, also those in a section such as `target`, and null gives a key its default. If the
   * change cannot be applied, the stream goes on as before.
   *
   * @throws CONFIG_INVALID, STREAM_NOT_FOUND, SOURCE_*
   */
  async update(id: string, changes: StreamChange): Promise<StreamReport> {
    this.#ownSource(id, changes);
    return this.#host.changeStream(id, changes);
  }

  /** Stops reading a stream until `resume`. A file goes on where it stopped. @throws STREAM_NOT_FOUND, STREAM_STATE */
  pause(id: string): Promise<StreamReport> {
    return this.#host.pauseStream(id);
  }

  /** Reads a paused stream again. @throws STREAM_NOT_FOUND, STREAM_STATE */
  resume(id: string): Promise<StreamReport> {
    return this.#host.resumeStream(id);
  }

  /** Ends a stream. Resolves when it has stopped. @throws STREAM_NOT_FOUND */
  remove(id: string): Promise<void> {
    return this.#host.removeStream(id);
  }

  /** The figures of each stream, in the order in which they were added. */
  list(): readonly StreamReport[] {
    return this.#host.report().streams;
  }

  /** Whether these are settings at all is checked later. */
  #ownSource(
    id: unknown,
    settings: { readonly source?: unknown; readonly restream?: unknown } | null | undefined,
  ): void {
    for (const address of [settings?.source, settings?.restream])
      if (typeof id === 'string' && typeof address === 'string')
        this.#ownSources.set(id, (this.#ownSources.get(id) ?? new Set()).add(address));
  }
}
