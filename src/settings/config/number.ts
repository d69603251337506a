import { z } from 'zod';

/** A number between two bounds, both included. */
export function range(minimum: number, maximum: number): z.ZodNumber {
  return z.number().min(minimum).max(maximum);
}

/** A whole number between two bounds, both included. */
export function whole(minimum: number, maximum: number): z.ZodInt {
  return z.int().min(minimum).max(maximum);
}
