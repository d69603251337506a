import { parentPort } from 'node:worker_threads';
import type { ToReceivers } from '../src/after/sinks/receiver-messages.ts';
import { ReceiverService } from '../src/after/sinks/receiver-service.ts';
import { ReplyBounds } from '../src/after/sinks/reply-bounds.ts';
import { reasonOf } from '../src/after/sinks/transport.ts';

/** Talks to the receivers of all sinks. */
const port = parentPort!;

ReplyBounds.watchSockets();
const service = new ReceiverService((message) => port.postMessage(message));
port.on('message', (message: ToReceivers) => service.handle(message));

// A client that fails to read a reply throws where nobody can catch it. Only the receiver that sent it must feel that.
process.on('uncaughtException', (error) => {
  const bounds = ReplyBounds.current;
  if (bounds === undefined) throw error;
  bounds.exceed(new Error(`its reply cannot be read: ${reasonOf(error)}`));
});
