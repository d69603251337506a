import type { ChildProcess } from 'node:child_process';
import { type CliResult, ended, startCli } from './cli.ts';
import { within } from './wait-for.ts';

/** A host of a fleet as a separate process, started like users start it. */
export class HostProcess {
  readonly id: string;
  /** Address of its gateway. */
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #result: Promise<CliResult>;

  private constructor(id: string, url: string, child: ChildProcess, result: Promise<CliResult>) {
    this.id = id;
    this.url = url;
    this.#child = child;
    this.#result = result;
  }

  static async start(
    id: string,
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<HostProcess> {
    const child = startCli(['host', ...args, '--id', id, '--port', '0'], environment);
    const result = ended(child);
    const url = new Promise<string>((resolve, reject) => {
      let log = '';
      child.stderr!.on('data', (chunk: Buffer) => {
        log += chunk.toString();
        const found = /live at (http:\S+)/.exec(log)?.[1];
        if (found !== undefined) resolve(found);
      });
      child.once('close', () => reject(new Error(`host ${id} ended: ${log}`)));
    });
    return new HostProcess(id, await within(`the start of host ${id}`, 60_000, url), child, result);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves once it logs what matches. */
  logged(pattern: RegExp): Promise<void> {
    return new Promise((resolve) => {
      let log = '';
      this.#child.stderr!.on('data', (chunk: Buffer) => {
        log += chunk.toString();
        if (pattern.test(log)) resolve();
      });
    });
  }

  /** Shuts it down cleanly. @returns what it printed. */
  async stop(): Promise<CliResult> {
    this.#child.kill('SIGCONT');
    this.#child.kill('SIGTERM');
    return within(`the end of host ${this.id}`, 30_000, this.#result);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#result;
  }
}
