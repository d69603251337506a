/** A thread of receivers that does what the name of each kind says. */
import { parentPort } from 'node:worker_threads';

const kinds = new Map();

parentPort.on('message', (message) => {
  if (message.type === 'open') return void kinds.set(message.receiver, message.kind);
  const kind = kinds.get(message.receiver);
  if (kind === 'spins') for (;;);
  if (kind === 'throws') throw new Error('a client is broken');
  if (kind === 'delivers') parentPort.postMessage({ id: message.id, value: { kind: 'delivered' } });
});
