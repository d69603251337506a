import type { Command } from 'commander';
import { inspect } from '../config/check.ts';
import { gatewayConfig } from '../config/gateway.ts';
import { wrongCommand } from './cli-io.ts';
import { choice, whole } from './flag-values.ts';

/** Flags of the commands that run a dashboard until they are stopped. */
export interface ServerFlags {
  readonly port?: number;
  readonly host?: string;
  readonly basePath?: string;
  readonly log: 'text' | 'json';
}

export function addServerFlags(command: Command): Command {
  return command
    .option('--port <n>', 'port of the dashboard (default: from the pipeline)', whole('--port', 0, 65_535))
    .option('--host <address>', 'address to listen on (default: from the pipeline)')
    .option(
      '--base-path <path>',
      'path below which a proxy serves it, such as /cams (default: from the pipeline)',
      basePathOf,
    )
    .addOption(choice('--log <format>', 'log format', ['text', 'json'], 'text'));
}

/** @throws COMMAND_INVALID */
function basePathOf(basePath: string): string {
  const [fault] = inspect(gatewayConfig, { basePath }).faults;
  if (fault !== undefined) throw wrongCommand(fault.replace('basePath', '--base-path'));
  return basePath;
}
