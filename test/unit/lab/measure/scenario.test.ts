import { describe, expect, it } from 'vitest';
import { scenarioName, scenarioStreams } from '../../../../src/lab/measure/scenario.ts';
import { parseStream } from '../../../../src/settings/config/parse-stream.ts';

const STREAMS = [
  parseStream({ id: 'door', source: 'a.mp4', decodeThreads: 2 }, {}),
  parseStream({ id: 'yard', source: 'b.mp4', maxFps: 10, track: true }, {}),
];

describe('the streams of a scenario', () => {
  it('offline: those of the pipeline, unpaced, endless, and nothing is dropped', () => {
    const streams = scenarioStreams(STREAMS, { kind: 'offline' });
    expect(streams.map(({ id, source, policy, loop, realtime }) => [id, source, policy, loop, realtime])).toEqual([
      ['trial-1', 'a.mp4', 'file', true, false],
      ['trial-2', 'b.mp4', 'file', true, false],
    ]);
  });

  it('cameras: as many as asked for, in turn, at the pace of the media, with their own settings', () => {
    const streams = scenarioStreams(STREAMS, { kind: 'cameras', streams: 3, fps: 15 });
    expect(streams.map(({ source, policy, realtime }) => [source, policy, realtime])).toEqual([
      ['a.mp4', 'live', true],
      ['b.mp4', 'live', true],
      ['a.mp4', 'live', true],
    ]);
    expect(streams.map(({ maxFps }) => maxFps)).toEqual([15, 15, 15]);
    expect(streams.map(({ decodeThreads, track }) => [decodeThreads, track])).toEqual([
      [2, false],
      [1, true],
      [2, false],
    ]);
  });

  it('cameras without a rate keep that of the pipeline', () => {
    const streams = scenarioStreams(STREAMS, { kind: 'cameras', streams: 2 });
    expect(streams.map(({ maxFps }) => maxFps)).toEqual([undefined, 10]);
  });

  it('a pipeline without streams cannot be measured', () => {
    expect(() => scenarioStreams([], { kind: 'offline' })).toThrow(/streams: expected at least one/);
  });

  it('has a name that distinguishes what must not be compared', () => {
    const names = [
      scenarioName({ kind: 'offline' }),
      scenarioName({ kind: 'offline', streams: 4 }),
      scenarioName({ kind: 'cameras', streams: 4 }),
      scenarioName({ kind: 'cameras', streams: 4, fps: 30 }),
    ];
    expect(names).toEqual(['offline', 'offline x4', 'cameras x4', 'cameras x4 at 30 fps']);
  });
});
