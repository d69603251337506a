import { Admission } from '../../src/fleet/control/orders/admission.ts';
import { PipelineHost } from '../../src/serve/host/pipeline-host.ts';
import { parsePipeline } from '../../src/serve/pipeline/load-pipeline.ts';
import type { EventMessage } from '../../src/wire/protocol/feed.ts';
import type { StreamReport } from '../../src/wire/protocol/report.ts';
import { waitFor } from './wait-for.ts';

export interface HostRules {
  readonly ffmpegPath: string;
  readonly cacheDir: string;
  readonly fleet?: object;
  readonly tls?: object;
  /** Streams of the pipeline file. */
  readonly streams?: readonly object[];
  readonly sinks?: readonly object[];
  /** Settings of the pipeline's own model beside those of a fake one. */
  readonly model?: object;
  /** Other detectors by name. */
  readonly models?: object;
  readonly batch?: object;
  /** What placeholders of the pipeline file stand for. */
  readonly variables?: Readonly<Record<string, string>>;
}

/** How a stream went. */
export interface Outcome {
  readonly frames: number;
  readonly state: string;
  /** Code and message of the last error; empty if there was none. */
  readonly error: string;
  readonly warnings: readonly string[];
  readonly report: StreamReport;
}

/** A host under an operator's rules, as `sightline run` makes it. */
export class RuledHost {
  readonly host: PipelineHost;
  readonly #parts: object;
  readonly events: EventMessage[] = [];
  readonly #frames = new Map<string, number>();
  #count = 0;

  private constructor(host: PipelineHost, parts: object) {
    this.host = host;
    this.#parts = parts;
    host.onEvent((event) => this.events.push(event));
    host.onPublished(({ streamId }) => this.#frames.set(streamId, this.framesOf(streamId) + 1));
  }

  static async open({
    ffmpegPath,
    cacheDir,
    fleet = {},
    tls = {},
    streams = [],
    sinks = [],
    model: given = {},
    models = {},
    batch = {},
    variables,
  }: HostRules): Promise<RuledHost> {
    const model = { engine: 'fake', inputSize: '64x64', threads: 1, fake: { callMs: 0 }, ...given };
    const parts = {
      name: 'ruled',
      description: 'A host with rules.',
      lanes: 1,
      model,
      models,
      batch,
      fleet,
      tls,
      streams,
      sinks,
    };
    const config = parsePipeline(JSON.stringify(parts), 'test', variables);
    const admission = new Admission({ ...config.fleet, placeholders: config.placeholders });
    const environment = { ffmpegPath, searchPath: '', modelPath: [], cacheDir, token: undefined };
    const admit = (source: string): Promise<void> => admission.source(source);
    const host = await PipelineHost.open(config, {
      environment,
      stdout: process.stdout,
      onNotice: () => undefined,
      admit,
    });
    return new RuledHost(host, parts);
  }

  /** Reads the pipeline file again, whose placeholders stand for something else. */
  reload(variables: Readonly<Record<string, string>>): ReturnType<PipelineHost['reload']> {
    return this.host.reload(parsePipeline(JSON.stringify(this.#parts), 'test', variables));
  }

  framesOf(id: string): number {
    return this.#frames.get(id) ?? 0;
  }

  errorOf(id: string): string {
    const failure = this.host.runtime.failureOf(id);
    return failure === null ? '' : `${failure.code} ${failure.message}`;
  }

  warningsOf(id: string): string[] {
    return this.events
      .filter(({ kind, stream }) => kind === 'stream-warning' && stream === id)
      .map((event) => event.message);
  }

  /** Adds a source over REST and reads it to its end, or until it fails. An error of the request counts as the stream's. */
  async play(
    source: string,
    settings: object = {},
  ): Promise<Omit<Outcome, 'report'> & { readonly report: StreamReport | null }> {
    const id = `s${this.#count++}`;
    try {
      await this.host.addStream({ id, source, policy: 'file', ...settings });
    } catch (error) {
      const { code, message } = error as { code: string; message: string };
      return { frames: 0, state: 'refused', error: `${code} ${message}`, warnings: [], report: null };
    }
    await this.host.runtime.stream(id).settled();
    const report = this.host.runtime.streamReport(this.host.runtime.stream(id));
    const { state } = report;
    const outcome = {
      frames: this.framesOf(id),
      state,
      error: this.errorOf(id),
      warnings: this.warningsOf(id),
      report,
    };
    await this.host.removeStream(id);
    return outcome;
  }

  /** Adds a live source over REST and waits until it has given frames, or reported an error. */
  async watch(source: string, frames: number, settings: object = {}): Promise<Outcome> {
    const id = `s${this.#count++}`;
    await this.host.addStream({ id, source, policy: 'live', ...settings });
    const lastError = (): string => this.host.runtime.streamReport(this.host.runtime.stream(id)).lastError ?? '';
    await waitFor('frames or an error', () => this.framesOf(id) >= frames || lastError() !== '');
    const report = this.host.runtime.streamReport(this.host.runtime.stream(id));
    const { state } = report;
    const outcome = { frames: this.framesOf(id), state, error: lastError(), warnings: this.warningsOf(id), report };
    await this.host.removeStream(id);
    return outcome;
  }

  async close(): Promise<void> {
    await this.host.runtime.stop();
  }
}
