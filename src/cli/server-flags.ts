import type { Command } from 'commander';
import { inspect } from '../config/check.ts';
import { gatewayConfig } from '../config/gateway.ts';
import { SightlineError } from '../errors/sightline-error.ts';

/** Flags of the commands that run a dashboard until they are stopped. */
export interface ServerFlags {
  readonly port?: number;
  readonly host?: string;
  readonly basePath?: string;
  readonly log: 'text' | 'json';
}

export function addServerFlags(command: Command): Command {
  return command
    .option('--port <n>', 'port of the dashboard (default: from the pipeline)', Number)
    .option('--host <address>', 'address to listen on (default: from the pipeline)')
    .option('--base-path <path>', 'path below which a proxy serves it, such as /cams (default: from the pipeline)')
    .option('--log <format>', 'log format: text or json', 'text');
}

/** @throws COMMAND_INVALID */
export function checkServerFlags({ port, basePath }: ServerFlags): void {
  const [fault] = basePath === undefined ? [] : inspect(gatewayConfig, { basePath }).faults;
  if (fault !== undefined) throw new SightlineError('COMMAND_INVALID', fault.replace('basePath', '--base-path'));
  if (port === undefined || (Number.isInteger(port) && port >= 0 && port <= 65_535)) return;
  throw new SightlineError('COMMAND_INVALID', '--port: expected a whole number from 0 to 65535');
}
