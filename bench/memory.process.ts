import { setTimeout as sleep } from 'node:timers/promises';
import { openContext } from './support/bench-context.ts';
import { benchStreams, LIVE, openBenchRuntime } from './support/bench-runtime.ts';

/** `memory.process.js STREAMS SECONDS MODEL`: runs live streams in its own process and prints its memory use. */
const [streamsText, secondsText, model] = process.argv.slice(2);
const seconds = Number(secondsText);
const context = await openContext({ seconds, isQuick: true }, process.env);
const runtime = await openBenchRuntime(context, { name: model });
const emptyRssBytes = process.memoryUsage.rss();
for (const { config, input } of await benchStreams(context, Number(streamsText), LIVE)) runtime.add(config, input);
let peakRssBytes = 0;
const unsubscribe = runtime.reports.add(({ host }) => {
  peakRssBytes = Math.max(peakRssBytes, host.rssBytes);
});
await sleep((seconds + context.warmUpSeconds) * 1000);
unsubscribe();
const { host, streams } = runtime.report();
const published = streams.reduce((sum, stream) => sum + stream.frames.published, 0);
const { rssBytes, childRssBytes } = host;
console.log(JSON.stringify({ emptyRssBytes, rssBytes, peakRssBytes, childRssBytes, published }));
await runtime.stop();
