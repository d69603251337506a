/** Number types that carry their unit, so that media time and wall time cannot be mixed up by accident. */

declare const unit: unique symbol;

/** Milliseconds on the process's monotonic clock; comparable between threads. */
export type MonoMs = number & { readonly [unit]: 'MonoMs' };

/** Media time in microseconds, as in the container. */
export type PtsUs = number & { readonly [unit]: 'PtsUs' };
