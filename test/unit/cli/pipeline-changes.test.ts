import { describe, expect, it } from 'vitest';
import { exported } from '../../../src/cli/pipeline-changes.ts';
import type { Overlay } from '../../../src/serve/host/overlay/overlay.ts';
import { overlaid } from '../../../src/serve/host/overlay/overlay.ts';
import { parsePipeline } from '../../../src/serve/pipeline/load-pipeline.ts';

const FILE = `# The cameras.
name: day # of the yard
description: Some cameras.
defaults: { policy: live }
streams:
  # At the door.
  - id: door
    source: rtsp://camera.example/1
    maxFps: 15 # not more
  - &gate { id: gate, source: rtsp://camera.example/2 }
  - id: yard
    source: rtsp://camera.example/3
    zones:
      - { id: lawn, polygon: [[0, 0], [1, 0], [1, 1]] }
`;

const exportOf = (overlay: Overlay, text = FILE): string => exported(text, parsePipeline(text, 'test'), overlay);
const streamsOf = (text: string) => parsePipeline(text, 'test').streams;

describe('an exported pipeline file', () => {
  it('is the file itself if nothing was changed', () => {
    expect(exportOf({})).toBe(FILE);
  });

  it('has what was changed, and keeps comments and the rest', () => {
    const lines = [{ id: 'edge', from: [0, 0], to: [1, 1] }];
    const overlay: Overlay = {
      door: { changed: { maxFps: { file: 15, now: 7 } } },
      gate: { isRemoved: true },
      yard: { changed: { zones: { file: [], now: [] }, lines: { file: [], now: lines } }, isPaused: true },
      new: { added: { source: 'rtsp://bob:hunter2@camera.example/4', every: 2 } },
    };
    const text = exportOf(overlay);
    for (const kept of ['# The cameras.', '# of the yard', '# At the door.', 'maxFps: 7 # not more'])
      expect(text).toContain(kept);
    const wanted = overlaid(parsePipeline(FILE, 'test'), overlay).streams.map(({ config }) => config);
    expect(streamsOf(text)).toEqual(wanted);
    expect(wanted.map(({ id }) => id)).toEqual(['door', 'yard', 'new']);
  });

  it('can take a key away', () => {
    expect(exportOf({ door: { changed: { maxFps: { file: 15 } } } })).not.toContain('maxFps');
  });

  it('of a file without streams has those that were added', () => {
    const text = exportOf({ new: { added: { source: 'demo' } } }, 'name: a\ndescription: b\n');
    expect(streamsOf(text).map(({ id }) => id)).toEqual(['new']);
  });

  it('of a file with aliases changes one stream only', () => {
    const file =
      'name: a\ndescription: b\nstreams:\n  - { id: a, source: demo, skip: &s { unchanged: true } }\n  - { id: b, source: demo, skip: *s }\n';
    const text = exportOf({ b: { changed: { skip: { now: { unchanged: false } } } } }, file);
    expect(streamsOf(text).map(({ skip }) => skip.unchanged)).toEqual([true, false]);
  });

  it('is refused where a file cannot say what holds: it cannot unset a default', () => {
    const file = 'name: a\ndescription: b\ndefaults: { maxFps: 5 }\nstreams: [{ id: a, source: demo }]\n';
    expect(() => exportOf({ a: { changed: { maxFps: { file: 5 } } } }, file)).toThrow(
      /cannot unset a key that its .defaults. set/,
    );
  });
});
