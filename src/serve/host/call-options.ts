import { z } from 'zod';
import type { TraceParent } from '../../base/flow/trace-context.ts';
import { check } from '../../settings/config/check.ts';

/** The trace to which a picture belongs; it is sent to the collector of `tracing`, and ignored without one. */
export interface TraceOptions {
  /** As the W3C header of that name: `00-`, the id of the trace, that of the span, flags. A sampled one is always traced. */
  readonly traceparent?: string;
  /** As the W3C header of that name. */
  readonly tracestate?: string;
}

/** About one picture. */
export interface DetectOptions extends TraceOptions {
  /** Takes the picture back, or stops waiting for its result. */
  readonly signal?: AbortSignal;
}

/** The option `signal` of a call. */
export const signalOption = {
  signal: z.custom<AbortSignal>((value) => value instanceof AbortSignal, 'expected an AbortSignal').optional(),
};

/** The options of a call about one picture. */
export const pictureOptions = {
  ...signalOption,
  traceparent: z
    .string()
    .regex(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/, 'expected a W3C trace context such as 00-<32 hex>-<16 hex>-01')
    .optional(),
  tracestate: z.string().max(512).optional(),
};

const callOptions = z.strictObject(signalOption);
const detectOptions = z.strictObject(pictureOptions);

/**
 * Checks the options of a call that takes no other than a signal, before it begins.
 *
 * @param where - names the call in the message.
 * @throws CONFIG_INVALID
 */
export function signalOf(options: unknown, where: string): AbortSignal | undefined {
  return check(callOptions, options, where).signal;
}

/** The same for a call about one picture. @throws CONFIG_INVALID */
export function detectOptionsOf(options: unknown): {
  signal: AbortSignal | undefined;
  parent: TraceParent | undefined;
} {
  const { signal, ...trace } = check(detectOptions, options, 'detect');
  return { signal, parent: parentOf(trace) };
}

export function parentOf({
  traceparent,
  tracestate,
}: z.infer<z.ZodObject<Omit<typeof pictureOptions, 'signal'>>>): TraceParent | undefined {
  return traceparent === undefined ? undefined : { traceparent, tracestate };
}
