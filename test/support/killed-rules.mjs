/**
 * Runs a stream with rules, whose objects come and go, until it is killed. What its sinks would get is appended to a file, in one write each.
 * Arguments: path of the history, path of the file, path of ffmpeg, folder of the cache, `stop` to stop instead, more of the pipeline as JSON.
 */
import { appendFileSync } from 'node:fs';
import { History } from '../../dist/src/after/history/history.js';
import { PipelineHost } from '../../dist/src/serve/host/pipeline-host.js';
import { parsePipeline } from '../../dist/src/serve/pipeline/load-pipeline.js';

const [historyPath, sinkPath, ffmpegPath, cacheDir] = process.argv.slice(2);
const WHOLE = [
  [0, 0],
  [1, 0],
  [1, 1],
  [0, 1],
];
const pipeline = {
  name: 'killed',
  description: 'Rules whose host is killed.',
  model: { engine: 'fake', inputSize: '64x64', threads: 1 },
  lanes: 1,
  streams: [
    {
      id: 'cam',
      source: 'synthetic:testsrc2=size=64x64:rate=30',
      policy: 'live',
      track: { minHits: 1, lostMs: 100 },
      zones: [{ id: 'all', polygon: WHOLE }],
      events: [
        { id: 'seen', kind: 'appears' },
        { id: 'stays', kind: 'dwells', zone: 'all', for: '300ms' },
        { id: 'some', kind: 'count', above: 0 },
      ],
    },
  ],
  ...JSON.parse(process.argv[7] ?? '{}'),
};
const startedMs = Date.now();
// Somebody is there for 0.4 s of every 1.6 s, so that conditions of the whole picture begin and end.
const isThere = () => (Date.now() - startedMs) % 1600 < 400;
const history = await History.open({ path: historyPath, maxBytes: 2 ** 24, days: 30, onNotice: () => {} });
const host = await PipelineHost.open(parsePipeline(JSON.stringify(pipeline), 'test'), {
  environment: { ffmpegPath, searchPath: '', modelPath: [], cacheDir, token: undefined },
  stdout: process.stdout,
  onNotice: () => {},
  admit: () => Promise.resolve(),
  fakeDetect: () => (isThere() ? [{ classId: 0, label: 'person', score: 0.9, box: [20, 20, 20, 30] }] : []),
});
host.onRuleEvent((event) => {
  appendFileSync(sinkPath, `${JSON.stringify(event)}\n`);
  process.stdout.write('event\n');
});
await host.keepEvents(history);
await host.start();
if (process.argv[6] === 'stop') {
  await new Promise((resolve) => setTimeout(resolve, 500));
  await host.stop();
  process.stdout.write(JSON.stringify(host.report().host));
  await history.close();
}
