import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { DECODERS } from '../models/decoders.ts';
import { SightlineError } from '../src/base/errors/sightline-error.ts';
import { loadEngine } from '../src/frame/infer/engine-kinds.ts';
import { BatchRunner } from '../src/frame/runtime/inference/batch-runner.ts';
import { nameInferenceThread } from '../src/frame/telemetry/cpu-ledger.ts';
import { threadId } from '../src/frame/telemetry/thread-id.ts';
import type { EngineRequest, FromInference, ToInference } from '../src/wire/protocol/threads.ts';

/**
 * Loads one engine, runs batches in order and sends back boxes. On CPUs these threads would occupy every core; a lower
 * priority (Linux has one per thread) lets decoders and the main thread run when they need to.
 */
const NICE = 5;
const port = parentPort!;
const request = workerData as EngineRequest;

function send(message: FromInference, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

async function start(): Promise<void> {
  if (process.platform === 'linux') setPriority(0, NICE);
  const tid = threadId();
  nameInferenceThread(tid);
  const engine = await loadEngine(request);
  const runner = new BatchRunner(engine, request.model.spec, DECODERS[request.model.spec.family]);
  if (request.engine !== 'fake') await runner.tryOutputs();
  // One promise chain per concurrent call. Batches are assigned to the chains in turn, so they start in message order.
  const chains: Promise<void>[] = Array.from({ length: engine.info.callsInFlight }, () => Promise.resolve());
  let batches = 0;
  const allDone = (): Promise<unknown> => Promise.all(chains);
  let isLost = false;
  // An unhandled rejection ends the thread. The pool then counts the frames it held and starts another.
  void engine.lost?.then((error) => {
    isLost = true;
    throw error;
  });
  port.on('message', (message: ToInference) => {
    switch (message.type) {
      case 'attach':
        runner.attach(message.ring);
        break;
      case 'detach':
        void allDone().then(() => runner.detach(message.ringId));
        break;
      case 'batch': {
        const chain = batches++ % chains.length;
        chains[chain] = chains[chain]!.then(() => run(message));
        break;
      }
      case 'shutdown':
        allDone()
          .then(() => engine.close())
          .finally(() => port.close());
        break;
    }
  });
  async function run(batch: Extract<ToInference, { type: 'batch' }>): Promise<void> {
    try {
      const result = await runner.run(batch);
      send(result, [result.rows.buffer as ArrayBuffer]);
    } catch (error) {
      if (isLost) return;
      send({
        type: 'batch-failed',
        batchId: batch.batchId,
        error: SightlineError.from(error, 'ENGINE_FAILED').toWire(),
      });
    }
  }

  const { info, pid: enginePid = null, damagedFile = null, share } = engine;
  send({ type: 'ready', info, tid, enginePid, damagedFile, share });
}

start().catch((error: unknown) => {
  send({ type: 'failed', error: SightlineError.from(error, 'ENGINE_UNAVAILABLE').toWire() });
  port.close();
});
