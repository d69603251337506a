import { pino } from 'pino';
import { terminalText } from '../core/terminal-text.ts';
import type { GatewayLogger } from '../gateway/gateway-options.ts';
import type { CliIo } from './cli-io.ts';

const LEVELS: Readonly<Record<number, string>> = { 30: '', 40: 'warning: ', 50: 'error: ' };

/** Logs go to standard error: JSON lines for machines, `14:03:07 text` for people. */
export function openLog(io: CliIo, format: 'text' | 'json'): GatewayLogger {
  if (format === 'json') return pino({ base: null }, io.stderr);
  return pino({ base: null }, { write: (line: string) => io.stderr.write(toText(line)) });
}

function toText(line: string): string {
  const { time, level, msg } = JSON.parse(line) as { time: number; level: number; msg: string };
  return `${new Date(time).toTimeString().slice(0, 8)}  ${LEVELS[level] ?? ''}${terminalText(msg)}\n`;
}
