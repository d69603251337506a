/** Number types that carry their unit, so that media time and wall time cannot be mixed up by accident. */

declare const unit: unique symbol;

/** Milliseconds on the one monotonic clock of the process; comparable between threads. */
export type MonoMs = number & { readonly [unit]: 'MonoMs' };

/** Media time in microseconds, as the container tells it. */
export type PtsUs = number & { readonly [unit]: 'PtsUs' };
