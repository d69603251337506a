import { parentPort } from 'node:worker_threads';
import { configureSharp } from '../src/frame/preprocess/sharp-preprocessor.ts';
import { Lane } from '../src/frame/runtime/lane/lane.ts';
import type { ToLane } from '../src/wire/protocol/threads.ts';

/** A lane: reads some streams, each with its own ffmpeg, and makes the model input. */
const port = parentPort!;
configureSharp();
const lane = new Lane((message, transfer) => port.postMessage(message, transfer));
port.on('message', (message: ToLane) => {
  if (message.type === 'shutdown') void lane.shutdown().then(() => port.close());
  else lane.handle(message);
});
lane.post({ type: 'ready' });
