import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Variables } from '../../settings/config/environment.ts';
import { readPipeline } from '../pipeline/load-pipeline.ts';
import type { PipelineConfig } from '../pipeline/pipeline.ts';
import type { ProcessContext } from './process-context.ts';

export interface ReloaderOptions {
  /** Path of the pipeline file. */
  readonly path: string;
  /** Takes a valid file. */
  readonly apply: (file: PipelineConfig) => Promise<unknown>;
  /** Called with the reason why a file is not used. */
  readonly onFailure: (error: SightlineError) => void;
}

/**
 * Reads the pipeline file again on each SIGHUP of a service, one after the other. One that comes while the pipeline starts is
 * served after `start`; of several that come while a file is applied, one more reading follows.
 */
export class SettingsReloader {
  readonly #options: ReloaderOptions;
  readonly #variables: Variables | undefined;
  #isStarted = false;
  #isWanted = false;
  #running: Promise<void> | null = null;

  constructor(options: ReloaderOptions, { onHangUp, environment }: Pick<ProcessContext, 'onHangUp' | 'environment'>) {
    this.#options = options;
    this.#variables = environment.variables;
    onHangUp?.(() => this.request());
  }

  /** Reads the file again, or does so after the reading that is under way. */
  request(): void {
    this.#isWanted = true;
    if (this.#isStarted) this.#running ??= this.#run();
  }

  start(): void {
    this.#isStarted = true;
    if (this.#isWanted) this.#running ??= this.#run();
  }

  /** Ends with the reading that is under way. Later signals do nothing: they must not end a process that stops in order. */
  async stop(): Promise<void> {
    this.#isStarted = false;
    await this.#running;
  }

  async #run(): Promise<void> {
    const { path, apply, onFailure } = this.#options;
    while (this.#isWanted && this.#isStarted) {
      this.#isWanted = false;
      try {
        await apply(await readPipeline(path, this.#variables));
      } catch (thrown) {
        onFailure(SightlineError.from(thrown, 'INTERNAL_ERROR'));
      }
    }
    this.#running = null;
  }
}
