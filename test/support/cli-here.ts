import { runCli } from '../../src/cli/program.ts';
import { CrashFlush } from '../../src/serve/host/crash-flush.ts';
import { readEnvironment } from '../../src/settings/config/environment.ts';
import type { CliResult } from './cli.ts';
import { TextSink } from './text-sink.ts';

/**
 * Runs a command to its end as the built command line does, in this process and from the sources. For what a command answers
 * without work: a process of its own costs as much as thirty answers.
 */
export async function cliHere(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CliResult> {
  const [stdout, stderr] = [new TextSink(), new TextSink()];
  const environment = readEnvironment({ ...process.env, ...env });
  const { signal: stop } = new AbortController();
  const code = await runCli(args, { stdout, stderr, environment, stop, crash: new CrashFlush() }, '0.0.0');
  return { code, stdout: stdout.text, stderr: stderr.text };
}
