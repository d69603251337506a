import { describe, expect, it } from 'vitest';
import { rateWarnings } from '../../../../src/serve/host/rate-warnings.ts';
import { parseStream } from '../../../../src/settings/config/parse-stream.ts';

const CAMERA = 'rtsp://camera.example/1';

const GATE = { id: 'gate', from: [0, 0], to: [1, 1] };
const ZONE = {
  id: 'yard',
  polygon: [
    [0, 0],
    [1, 0],
    [1, 1],
  ],
};

describe('a rate at which objects cannot be followed', () => {
  it.each<[string, object]>([
    ['a camera of which all frames are taken', { source: CAMERA, track: true }],
    ['three frames a second', { source: CAMERA, lines: [GATE], maxFps: 3 }],
    ['zones alone: they need no tracks', { source: CAMERA, zones: [ZONE], maxFps: 1 }],
    ['nothing that is followed', { source: CAMERA, maxFps: 0.5 }],
  ])('%s: no warning', (_, settings) => {
    expect(rateWarnings(parseStream({ id: 'a', ...settings }, {}))).toEqual([]);
  });

  it.each<[string, object, RegExp]>([
    [
      'lines at one frame a second',
      { source: CAMERA, lines: [GATE], maxFps: 1 },
      /^stream "a": 1 frames\/s are too few .*Take 5 or more.* Now maxFps is 1$/,
    ],
    [
      'tracks of every tenth frame',
      { source: 'synthetic:testsrc2=rate=25', realtime: true, every: 10, track: true },
      /^stream "a": 2\.5 frames\/s .* Now the source has 25 frames\/s and every is 10$/,
    ],
  ])('%s: says so, and what to do', (_, settings, text) => {
    expect(rateWarnings(parseStream({ id: 'a', ...settings }, {}))).toEqual([expect.stringMatching(text)]);
  });
});

describe('targets that cannot be met', () => {
  it.each([
    [{ source: CAMERA, target: { fps: 25 } }],
    [{ source: CAMERA, every: 2, target: { fps: 25 } }],
    [{ source: 'synthetic:testsrc2=size=64x64:rate=30', loop: true, target: { fps: 30 } }],
    // A target counts as missed below 95 %.
    [{ source: 'synthetic:testsrc2=size=64x64:rate=30000/1001', realtime: true, target: { fps: 30 } }],
    // Read at full speed.
    [{ source: 'synthetic:testsrc2=size=64x64:rate=10', target: { fps: 100 } }],
    [{ source: CAMERA, every: 100 }],
  ])('%j: none', (settings) => {
    expect(rateWarnings(parseStream({ id: 'a', ...settings }, {}))).toEqual([]);
  });

  it.each([
    [{ source: CAMERA, every: 5, target: { fps: 20 } }, /needs a source of 100 frames\/s/],
    [
      { source: 'synthetic:testsrc2=size=64x64:rate=30', realtime: true, every: 2, target: { fps: 20 } },
      /at most 15 frames\/s, because the source has 30 frames\/s and every is 2/,
    ],
    [{ source: 'synthetic:testsrc2', policy: 'live', target: { fps: 30 } }, /at most 25 frames\/s/],
  ] as const)('%j: says what is let through', (settings, text) => {
    expect(rateWarnings(parseStream({ id: 'a', ...settings }, {}))).toEqual([expect.stringMatching(text)]);
  });
});
