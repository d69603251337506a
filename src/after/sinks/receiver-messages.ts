import type { ReceiverPlan } from './receiver-kind.ts';
import type { Batch } from './transport.ts';

/** What the thread of the receivers is told. `receiver` is a number that the sender chose. */
export type ToReceivers =
  | { readonly type: 'open'; readonly receiver: number; readonly kind: string; readonly plan: ReceiverPlan }
  | ({ readonly id: number; readonly receiver: number } & ReceiverRequest)
  /** Ends a request, which is answered at once then. */
  | { readonly type: 'abort'; readonly id: number; readonly reason: string };

/** Each is answered once. */
export type ReceiverRequest =
  | { readonly type: 'send'; readonly batch: Batch }
  | { readonly type: 'ask'; readonly question: unknown }
  | { readonly type: 'close' };

/** What it answers: an `Attempt`, or what `Transport.ask` resolves to. */
export type FromReceivers =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string };
