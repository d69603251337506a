import { receiverKind } from './receiver-kinds.ts';
import type { FromReceivers, ReceiverRequest, ToReceivers } from './receiver-messages.ts';
import { ReplyBounds } from './reply-bounds.ts';
import { reasonOf, type Transport } from './transport.ts';

interface OpenReceiver {
  readonly transport: Transport;
  readonly bounds: ReplyBounds;
  /** Requests that wait for an answer. */
  readonly running: Set<AbortController>;
}

/** Talks to receivers for another thread, which keeps what waits for them. What one of them answers cannot end the others. */
export class ReceiverService {
  readonly #answer: (message: FromReceivers) => void;
  readonly #receivers = new Map<number, OpenReceiver>();
  readonly #requests = new Map<number, AbortController>();

  constructor(answer: (message: FromReceivers) => void) {
    this.#answer = answer;
  }

  handle(message: ToReceivers): void {
    if (message.type === 'open') {
      const running = new Set<AbortController>();
      const { connect, mostReplyBytes } = receiverKind(message.kind);
      const bounds = new ReplyBounds(mostReplyBytes, (error) => {
        for (const controller of running) controller.abort(error);
      });
      const transport = connect(message.plan);
      this.#receivers.set(message.receiver, { transport, bounds, running });
    } else if (message.type === 'abort') this.#requests.get(message.id)?.abort(new Error(message.reason));
    else void this.#serve(message.id, this.#receivers.get(message.receiver)!, message);
  }

  async #serve(id: number, receiver: OpenReceiver, request: ReceiverRequest): Promise<void> {
    const { bounds, running } = receiver;
    const controller = new AbortController();
    this.#requests.set(id, controller);
    running.add(controller);
    try {
      this.#answer({ id, value: await bounds.run(() => this.#do(receiver, request, controller.signal)) });
    } catch (error) {
      this.#answer({ id, error: reasonOf(error) });
    } finally {
      this.#requests.delete(id);
      running.delete(controller);
      // A client that still waits for something would keep its connection for ever.
      if (controller.signal.aborted || request.type === 'close') bounds.cut(new Error('the attempt has ended'));
    }
  }

  async #do({ transport, bounds }: OpenReceiver, request: ReceiverRequest, signal: AbortSignal): Promise<unknown> {
    if (request.type === 'ask') return transport.ask!(request.question, signal);
    if (request.type === 'close') return transport.close?.();
    const attempt = await transport.send(request.batch, signal);
    const { note } = bounds;
    if (attempt.kind === 'delivered' || (attempt.delivered ?? 0) > 0) bounds.delivered();
    if (attempt.kind === 'delivered') return attempt;
    // A client may have noticed first that its connection is cut.
    const reason = signal.aborted ? reasonOf(signal.reason) : attempt.reason;
    return { ...attempt, reason: note === null || reason.includes(note) ? reason : `${reason}; ${note}` };
  }
}
