import { inspect } from '../settings/config/check.ts';
import { gatewayConfig } from '../settings/config/gateway.ts';
import { wrongCommand } from './cli-io.ts';
import { type FlagsOf, flagTable, whole } from './flag-values.ts';

/** Flags of the commands that run a dashboard until they are stopped. */
export const SERVER_FLAGS = flagTable({
  '--port <n>': ['port of the dashboard (default: from the pipeline)', whole('--port', 0, 65_535)],
  '--host <address>': 'address to listen on (default: from the pipeline)',
  '--base-path <path>': ['path below which a proxy serves it, such as /cams (default: from the pipeline)', basePathOf],
  '--log <format>': ['log format', ['text', 'json'], 'text'],
});

export type ServerFlags = FlagsOf<typeof SERVER_FLAGS>;

/** @throws COMMAND_INVALID */
function basePathOf(basePath: string): string {
  const [fault] = inspect(gatewayConfig, { basePath }).faults;
  if (fault !== undefined) throw wrongCommand(fault.replace('basePath', '--base-path'));
  return basePath;
}
