import type { Transport } from './transport.ts';

/** What a thread needs to know to send to a receiver: plain data. */
export interface ReceiverPlan {
  /** For messages; without credentials. */
  readonly shownUrl: string;
}

/** How a kind of receiver is reached. `receiver-kinds.ts` lists all of them. */
export interface ReceiverKind<P extends ReceiverPlan> {
  readonly name: string;
  /** Most bytes of the replies to one batch, with what a receiver says besides. */
  readonly mostReplyBytes: number;
  /** Connects with the first record. */
  connect(plan: P): Transport;
}

/** Makes the transport to a receiver, in this thread or in another. */
export type ConnectReceiver = <P extends ReceiverPlan>(kind: ReceiverKind<P>, plan: P) => Transport;

/** Without another thread: whatever the receiver answers is read by this one. */
export const connectHere: ConnectReceiver = (kind, plan) => kind.connect(plan);
