import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { DECODERS } from '../models/decoders.ts';
import { SightlineError } from '../src/errors/sightline-error.ts';
import { loadEngine } from '../src/infer/load-engine.ts';
import type { EngineRequest, FromInference, ToInference } from '../src/protocol/threads.ts';
import { BatchRunner } from '../src/runtime/batch-runner.ts';
import { threadId } from '../src/telemetry/thread-id.ts';

/**
 * Loads one engine, runs batches one after the other, sends back boxes. On CPUs these threads would take every core:
 * a lower priority (Linux has one for each thread) lets decoders and the main thread have it when they need it.
 */
const NICE = 5;
const port = parentPort!;
const request = workerData as EngineRequest;

function send(message: FromInference, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

async function start(): Promise<void> {
  if (process.platform === 'linux') setPriority(0, NICE);
  const engine = await loadEngine(request);
  const runner = new BatchRunner(engine, request.model.spec, DECODERS[request.model.spec.family]);
  // Batches are run in the order of their messages; a promise chain keeps an asynchronous engine to one call at a time.
  let last: Promise<void> = Promise.resolve();
  port.on('message', (message: ToInference) => {
    switch (message.type) {
      case 'attach':
        runner.attach(message.ring);
        break;
      case 'detach':
        last = last.then(() => runner.detach(message.ringId));
        break;
      case 'batch':
        last = last.then(async () => {
          try {
            const result = await runner.run(message);
            send(result, [result.rows.buffer as ArrayBuffer]);
          } catch (error) {
            send({
              type: 'batch-failed',
              batchId: message.batchId,
              error: SightlineError.from(error, 'ENGINE_FAILED').toWire(),
            });
          }
        });
        break;
      case 'shutdown':
        last.then(() => engine.close()).finally(() => port.close());
        break;
    }
  });
  send({ type: 'ready', info: engine.info, tid: threadId() });
}

start().catch((error: unknown) => {
  send({ type: 'failed', error: SightlineError.from(error, 'ENGINE_UNAVAILABLE').toWire() });
  port.close();
});
