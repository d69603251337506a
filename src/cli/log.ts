import { pino } from 'pino';
import { withoutHidden } from '../base/core/hidden-values.ts';
import { redact } from '../base/core/redact.ts';
import { terminalMessage } from '../base/core/terminal-text.ts';
import { activeTrace } from '../base/flow/trace-context.ts';
import type { TracedLine, Tracing } from '../frame/telemetry/tracing/open-tracing.ts';
import type { GatewayLogger } from '../serve/gateway/gateway-options.ts';
import { tracingOf } from '../serve/host/tracing-of.ts';
import type { PipelineConfig } from '../serve/pipeline/pipeline.ts';
import type { CliIo } from './cli-io.ts';

const LEVELS: Readonly<Record<number, string>> = { 30: '', 40: 'warning: ', 50: 'error: ' };

interface LogLine {
  readonly time: number;
  readonly level: number;
  readonly msg: string;
  /** Of the span in which it was written. */
  readonly trace_id?: string;
  readonly span_id?: string;
  /** An unexpected exception, as pino writes it. */
  readonly err?: { readonly message: string; readonly stack?: string };
}

/** Opens the log of a service and its traces. The log comes first: what opens the traces logs, and they get each line from then on. */
export async function openTracedLog(
  io: CliIo,
  format: 'text' | 'json',
  config: PipelineConfig,
): Promise<{ readonly log: GatewayLogger; readonly tracing: Tracing | undefined }> {
  let tracing: Tracing | undefined;
  const log = openLog(io, format, () => tracing);
  tracing = await tracingOf(config, (text) => log.warn({}, text));
  return { log, tracing };
}

/**
 * Logs go to standard error: JSON lines for machines, `14:03:07 text` for people.
 *
 * @param tracing - gets each line as well, from when there is one: what opens it logs.
 */
export function openLog(
  io: CliIo,
  format: 'text' | 'json',
  tracing: () => Pick<Tracing, 'log'> | undefined = () => undefined,
): GatewayLogger {
  const write = (given: string): void => {
    const line = withoutHidden(given);
    io.stderr.write(format === 'json' ? line : toText(line));
    tracing()?.log(tracedLine(line));
  };
  return pino({ base: null, mixin: () => (tracing() && activeTrace()) ?? {} }, { write });
}

function tracedLine(line: string): TracedLine {
  const { time: timeMs, level, msg: text, err, trace_id, span_id, ...details } = JSON.parse(line) as LogLine;
  const ids = trace_id === undefined || span_id === undefined ? undefined : { trace_id, span_id };
  const error = err === undefined ? {} : { 'exception.message': err.message, 'exception.stacktrace': err.stack };
  return {
    timeMs,
    level: level >= 50 ? 'error' : level >= 40 ? 'warn' : 'info',
    text,
    details: { ...details, ...error },
    ids,
  };
}

function toText(line: string): string {
  const { time, level, msg, err } = JSON.parse(line) as LogLine;
  const cause = err === undefined ? '' : `: ${err.stack ?? err.message}`;
  return `${new Date(time).toTimeString().slice(0, 8)}  ${LEVELS[level] ?? ''}${terminalMessage(msg + redact(cause))}\n`;
}
