// Frames from a decoder of your own, here an ffmpeg that writes raw pixels. Awaiting each result is the back-pressure.
//   node examples/own-decoder.mjs video.mp4
import { spawn } from 'node:child_process';
import { Sightline } from 'sightline';

const [WIDTH, HEIGHT, FPS] = [640, 360, 5];
const source = process.argv[2] ?? 'clip.mp4';
const filter = `fps=${FPS},scale=${WIDTH}:${HEIGHT}`;
const args = ['-v', 'error', '-i', source, '-vf', filter, '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'];

/** @param {AsyncIterable<Buffer>} chunks */
async function* frames(chunks) {
  const bytes = WIDTH * HEIGHT * 3;
  let rest = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk]);
    for (; rest.length >= bytes; rest = rest.subarray(bytes)) yield rest.subarray(0, bytes);
  }
}

const engine = await Sightline.open({ env: process.env });
const stream = await engine.streams.push({ id: 'own', track: {} });
const decoder = spawn('ffmpeg', args, { stdio: ['ignore', 'pipe', 'inherit'] });
let frame = 0;
/** @type {Promise<unknown>} Two frames at a time: one is fitted while the other is inferred. */
let before = Promise.resolve();
for await (const rgb of frames(decoder.stdout)) {
  const pushed = stream.push(rgb, { width: WIDTH, height: HEIGHT, ptsUs: Math.round((frame * 1e6) / FPS) });
  frame += 1;
  await before;
  before = pushed.then(({ ptsUs, detections }) => console.log(ptsUs / 1e6, detections.length));
}
await before;
await stream.end();
await engine.close();
