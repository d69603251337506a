// A sink of your own: sums up each minute what was seen, instead of writing each frame.
//   node examples/custom-sink.mjs video.mp4
import { Sightline } from 'sightline';

const MINUTE_US = 60_000_000;
/** @type {Map<number, Map<string, number>>} Most objects of each label at once, by minute of the video. */
const minutes = new Map();

/** @type {import('sightline').CustomSink} */
const summary = {
  id: 'summary',
  filter: { minScore: 0.5 },
  publish({ ptsUs, detections }) {
    const minute = Math.floor(ptsUs / MINUTE_US);
    const most = minutes.get(minute) ?? new Map();
    for (const label of new Set(detections.map((each) => each.label))) {
      const count = detections.filter((each) => each.label === label).length;
      most.set(label, Math.max(most.get(label) ?? 0, count));
    }
    minutes.set(minute, most);
  },
  close() {
    for (const [minute, most] of minutes)
      console.log(`minute ${minute}: ${[...most].map(([label, count]) => `${count} ${label}`).join(', ')}`);
  },
};

const engine = await Sightline.open({ env: process.env, sinks: [summary] });
const ended = new Promise((resolve) => {
  engine.on('event', ({ kind, details }) => {
    if (kind === 'stream-state' && (details?.to === 'ended' || details?.to === 'failed')) resolve(undefined);
  });
});
await engine.streams.add({ id: 'video', source: process.argv[2] ?? 'clip.mp4' });
await ended;
await engine.close();
