import { parentPort, workerData } from 'node:worker_threads';
import { Annotator } from '../src/after/sinks/annotator.ts';
import type { AnnotateRequest, ToAnnotate } from '../src/wire/protocol/annotate.ts';

/** Draws on the pictures of one stream and pipes them to an ffmpeg process that encodes a video. */
const port = parentPort!;
const annotator = new Annotator(workerData as AnnotateRequest, (message) => {
  port.postMessage(message);
  // Both are final: the thread ends once its ffmpeg has ended.
  if (message.type === 'finished' || message.type === 'failed') port.close();
});
port.on('message', (message: ToAnnotate) => annotator.handle(message));
