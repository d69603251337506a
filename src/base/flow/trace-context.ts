import { AsyncLocalStorage } from 'node:async_hooks';

/** What a trace that another program began looks like in a message: the values of the W3C headers. */
export interface TraceParent {
  /** `00-<32 hex digits>-<16 hex digits>-<flags>` */
  readonly traceparent: string;
  readonly tracestate?: string | undefined;
}

/** The span in which something is done, as log lines name it. */
export interface TraceIds {
  readonly trace_id: string;
  readonly span_id: string;
}

const active = new AsyncLocalStorage<TraceIds>();

/** Does something in a span: its log lines name the span. */
export function inTrace<T>(ids: TraceIds, work: () => T): T {
  return active.run(ids, work);
}

/** The span in which this is done; undefined if it is not traced. */
export function activeTrace(): TraceIds | undefined {
  return active.getStore();
}
