import { parentPort, workerData } from 'node:worker_threads';
import type { AnnotateRequest, ToAnnotate } from '../src/protocol/annotate.ts';
import { Annotator } from '../src/sinks/annotator.ts';

/** Draws on the pictures of one stream and pipes them to an ffmpeg that makes a video of them. */
const port = parentPort!;
const annotator = new Annotator(workerData as AnnotateRequest, (message) => {
  port.postMessage(message);
  // Either is the last word: the thread ends once its ffmpeg is gone.
  if (message.type === 'finished' || message.type === 'failed') port.close();
});
port.on('message', (message: ToAnnotate) => annotator.handle(message));
