import { expect, it } from 'vitest';
import type { z } from 'zod';
import type { Frozen, Wire } from '../../src/wire/protocol/bounds.ts';
import type { clientMessage, SubscribeMessage } from '../../src/wire/protocol/feed.ts';
import type { JobOrder, jobOrder } from '../../src/wire/protocol/fleet.ts';
import type { JobRequest, jobRequest, RolloutRequest, rolloutRequest } from '../../src/wire/protocol/rest.ts';

/** True if each type can take the place of the other, and neither has a key that the other lacks. */
type Same<A, B> =
  Fits<Shape<Frozen<A>>, Shape<Frozen<B>>> extends true ? Fits<Whole<Frozen<A>>, Whole<Frozen<B>>> : false;
type Fits<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
/** Without the reasons of counters: a schema takes any, since other versions may have others. */
type Shape<T> = T extends readonly (infer E)[]
  ? readonly Shape<E>[]
  : T extends object
    ? string extends keyof T
      ? 'record'
      : { readonly [K in keyof T]: K extends 'dropped' | 'skipped' | 'lost' | 'blindMs' ? 'counts' : Shape<T[K]> }
    : T;
/** As `Shape`, with every key required: of a type that lacks an optional key the other could take the place. */
type Whole<T> = T extends readonly (infer E)[]
  ? readonly Whole<E>[]
  : T extends object
    ? string extends keyof T
      ? 'record'
      : { readonly [K in keyof T]-?: K extends 'dropped' | 'skipped' | 'lost' | 'blindMs' ? 'counts' : Whole<T[K]> }
    : T;

// Interfaces have comments, which those that TypeScript derives from a schema have not. Two are written by hand, the others are made
// (`workers/wire-source.ts`). `npm run types` checks that they are the same.
it('the types of the wire are those of its schemas', () => {
  const orders: Same<Wire<typeof jobOrder>, JobOrder> = true;
  const subscriptions: Same<Extract<z.output<typeof clientMessage>, { type: 'subscribe' }>, SubscribeMessage> = true;
  const newJobs: Same<z.input<typeof jobRequest>, JobRequest> = true;
  const rollouts: Same<z.input<typeof rolloutRequest>, RolloutRequest> = true;
  expect([orders, subscriptions, newJobs, rollouts]).not.toContain(false);
});
