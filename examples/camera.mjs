// Prints what a camera sees and who crosses a line, until Ctrl-C.
//   node examples/camera.mjs rtsp://user:password@192.168.1.20/stream
import { Sightline } from 'sightline';

const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

const engine = await Sightline.open({
  env: process.env,
  signal: stop.signal,
  onNotice: (text) => console.error(text),
  streams: [
    {
      id: 'door',
      source: process.argv[2] ?? 'demo',
      maxFps: 10,
      track: {},
      lines: [{ id: 'entrance', from: [0.5, 0], to: [0.5, 1] }],
    },
  ],
});
engine.on('event', ({ kind, message }) => {
  if (kind === 'stream-state' || kind === 'line-crossed') console.error(message);
});

try {
  for await (const { capturedAt, detections } of engine.results({ signal: stop.signal }))
    console.log(
      capturedAt,
      detections.map(({ label, trackId = '?' }) => `${label} ${trackId}`).join(', ') || 'nothing',
    );
} catch (error) {
  if (!stop.signal.aborted) throw error;
} finally {
  await engine.close();
}
