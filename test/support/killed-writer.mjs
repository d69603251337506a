/**
 * Writes results to one sink until it is killed, and prints after each step how many the sink has sent.
 * Arguments: options of the sink as JSON with `kind` (jsonl, coco, webhook), `frames` (then it waits) and `run`
 * of the results.
 */
import { CocoSink } from '../../dist/src/after/sinks/coco-sink.js';
import { JsonlSink } from '../../dist/src/after/sinks/jsonl-sink.js';
import { WebhookSink } from '../../dist/src/after/sinks/webhook-sink.js';

const { kind, frames = Number.POSITIVE_INFINITY, canWait = true, run, ...options } = JSON.parse(process.argv[2]);
const KINDS = { jsonl: JsonlSink, coco: CocoSink, webhook: WebhookSink };
const sink = new KINDS[kind]({ id: 'out', classes: ['person'], onFailure: () => undefined, ...options });
const box = { classId: 0, label: 'person', score: 0.91, box: [10, 20, 30, 40] };
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let frame = 0;
while (frame < frames) {
  for (let i = 0; i < 20 && frame < frames; i++, frame++) {
    const size = { width: 1280, height: 720 };
    const result = { streamId: 's', run, frame, ptsUs: 0, ...size, by: 'inferred', detections: [box] };
    if (!sink.publish(result, 'a.mp4', canWait)) await sink.drained();
  }
  process.stdout.write(`${sink.figures.sent}\n`);
  await sleep(4);
}
for (;;) {
  await sleep(50);
  process.stdout.write(`${sink.figures.sent} ${sink.figures.waiting}\n`);
}
