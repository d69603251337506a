/**
 * Records packets until it is killed. Arguments: the folder, a file with packets (v8), and the id of the event whose clip it writes.
 * Prints `writing` once bytes are on the disk.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { deserialize } from 'node:v8';
import { Recorder } from '../../dist/src/after/recording/recorder.js';
import { systemClock } from '../../dist/src/base/core/clock.js';

const [folder, file, event] = process.argv.slice(2);
const packets = deserialize(readFileSync(file));
const clip = { before: '5s', after: '5s' };
const recorder = new Recorder({
  folder,
  ringBytes: 2 ** 24,
  ffmpeg: null,
  clock: systemClock,
  wallMs: Date.now,
  retention: { days: 1e6, eventDays: 1e6, clipDays: 1e6, labelDays: {}, maxBytes: 1e12 },
  configOf: (id) => ({ id, record: 'continuous', masks: [], events: [{ id: 'in', clip }] }),
  onState: (problem) => process.stdout.write(`problem ${problem}\n`),
  onNotice: () => undefined,
});
let isWriting = false;
function tellOnce() {
  if (isWriting || recorder.figures.writtenBytes === 0) return;
  isWriting = true;
  process.stdout.write('writing\n');
}
for (const [i, each] of packets.entries()) {
  recorder.onPackets(each);
  const moment = { ptsUs: each.endUs };
  if (i === 3)
    recorder.onEvent({ id: event, seq: 0, phase: 'new', rule: 'in', stream: 'cam', raised: moment, began: moment });
  await sleep(1);
  tellOnce();
}
// A slow disk may not have taken the first bytes yet.
for (let i = 0; i < 6000; i++) {
  tellOnce();
  await sleep(10);
}
