import type { ChildProcess } from 'node:child_process';
import { type CliResult, ended, startCli } from './cli.ts';
import { waitFor, within } from './wait-for.ts';

/** `sightline run` as a process of its own, started as users do. */
export class PipelineProcess {
  readonly #child: ChildProcess;
  readonly #result: Promise<CliResult>;
  #log = '';

  constructor(pipelinePath: string, flags: readonly string[] = [], env: NodeJS.ProcessEnv = {}) {
    this.#child = startCli(['run', pipelinePath, '--port', '0', ...flags], env);
    this.#result = ended(this.#child);
    this.#child.stderr!.on('data', (chunk: Buffer) => {
      this.#log += chunk.toString();
    });
  }

  /** What it has written to standard error so far. */
  get log(): string {
    return this.#log;
  }

  /** Waits until its streams are started. @returns the address of its gateway. */
  async started(): Promise<string> {
    await waitFor(
      'the pipeline',
      () => / is running with /.test(this.#log),
      { deadlineMs: 60_000 },
      () => this.#log,
    );
    return /live at (http:\S+)/.exec(this.#log)![1]!;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Ends it in order; what it printed. */
  async stop(): Promise<CliResult> {
    this.#child.kill('SIGTERM');
    return this.end();
  }

  async kill(): Promise<CliResult> {
    this.#child.kill('SIGKILL');
    return this.end();
  }

  /** Waits until it has ended by itself. */
  end(): Promise<CliResult> {
    return within('the end of sightline run', 60_000, this.#result);
  }
}
