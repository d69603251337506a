import { type CliIo, note } from './cli-io.ts';

/** Exit codes, as shells report a program that the signal ended: 128 and its number. */
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

export type InterruptingSignal = keyof typeof EXIT_CODES;
export type InterruptedCode = (typeof EXIT_CODES)[InterruptingSignal];

/** Why a command stops: the reason of its stop signal. Commands that run until they are stopped still end with 0. */
export class Interruption extends Error {
  readonly exitCode: InterruptedCode;

  constructor(signal: InterruptingSignal) {
    super('interrupted');
    this.name = 'AbortError';
    this.exitCode = EXIT_CODES[signal];
  }
}

/** Runs a command that ends when it is stopped. If that happens while it starts, it ends in order as well. */
export async function untilStopped(io: CliIo, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!io.stop.aborted || error !== io.stop.reason) throw error;
    note(io, 'stopped during the start');
  }
}

/** Returns the exit code of a command that its stop signal has interrupted. */
export function interruptedCode({ reason }: AbortSignal): InterruptedCode {
  return reason instanceof Interruption ? reason.exitCode : EXIT_CODES.SIGINT;
}

/** An outcome that was already reported to the user; only the exit code remains to be set. 3: done, but a target was not met. */
export class ReportedFailure extends Error {
  readonly exitCode: 1 | 2 | 3 | InterruptedCode;

  /** @param cause - a SightlineError, or the failure of work that ran elsewhere. */
  constructor(cause: { readonly message: string; readonly exitCode: 1 | 2 | 3 | InterruptedCode }) {
    super(cause.message, { cause });
    this.exitCode = cause.exitCode;
  }
}
