import { pino } from 'pino';
import { withoutHidden } from '../core/hidden-values.ts';
import { redact } from '../core/redact.ts';
import { terminalMessage } from '../core/terminal-text.ts';
import type { GatewayLogger } from '../gateway/gateway-options.ts';
import type { CliIo } from './cli-io.ts';

const LEVELS: Readonly<Record<number, string>> = { 30: '', 40: 'warning: ', 50: 'error: ' };

interface LogLine {
  readonly time: number;
  readonly level: number;
  readonly msg: string;
  /** An unexpected exception, as pino writes it. */
  readonly err?: { readonly message: string; readonly stack?: string };
}

/** Logs go to standard error: JSON lines for machines, `14:03:07 text` for people. */
export function openLog(io: CliIo, format: 'text' | 'json'): GatewayLogger {
  const write = (line: string): void => void io.stderr.write(withoutHidden(format === 'json' ? line : toText(line)));
  return pino({ base: null }, { write });
}

function toText(line: string): string {
  const { time, level, msg, err } = JSON.parse(line) as LogLine;
  const cause = err === undefined ? '' : `: ${err.stack ?? err.message}`;
  return `${new Date(time).toTimeString().slice(0, 8)}  ${LEVELS[level] ?? ''}${terminalMessage(msg + redact(cause))}\n`;
}
