import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import type { FromSession, SessionStart, ToSession } from '../src/frame/infer/tensorflow/child-messages.ts';
import { TensorflowLibrary } from '../src/frame/infer/tensorflow/saved-model-session.ts';

/** Runs TensorFlow inside its process and blocks while the device computes. The library's threads inherit the priority. */
const NICE = 5;
const port = parentPort!;
const { request, pixels } = workerData as SessionStart;

function send(message: FromSession, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

async function start(): Promise<void> {
  if (process.platform === 'linux') setPriority(0, NICE);
  const library = TensorflowLibrary.load();
  if (request.model !== null) {
    const { path, width, height, maxBatch } = request.model;
    const frameBytes = width * height * 3;
    const session = await library.open(path, { width, height });
    port.on('message', ({ place, batchSize }: ToSession) => {
      try {
        const memory = new Uint8Array(pixels, place * maxBatch * frameBytes, batchSize * frameBytes);
        const outputs = session.run(memory, batchSize);
        send(
          { type: 'result', outputs, numTensors: library.numTensors },
          outputs.map(({ data }) => data.buffer as ArrayBuffer),
        );
      } catch (error) {
        send({ type: 'batch-failed', message: (error as Error).message });
      }
    });
  }
  send({ type: 'ready', facts: library.facts });
}

start().catch((error: unknown) => send({ type: 'failed', message: (error as Error).message }));
