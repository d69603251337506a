import { z } from 'zod';
import { check } from '../config/check.ts';

/** The option `signal` of a call. */
export const signalOption = {
  signal: z.custom<AbortSignal>((value) => value instanceof AbortSignal, 'expected an AbortSignal').optional(),
};

const callOptions = z.strictObject(signalOption);

/**
 * Checks the options of a call that takes no other than a signal, before it begins.
 *
 * @param where - names the call in the message.
 * @throws CONFIG_INVALID
 */
export function signalOf(options: unknown, where: string): AbortSignal | undefined {
  return check(callOptions, options, where).signal;
}
