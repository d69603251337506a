import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { overlaid, overlayEntryOf, overlayStreams } from '../../../../../src/serve/host/overlay/overlay.ts';
import { parsePipeline } from '../../../../../src/serve/pipeline/load-pipeline.ts';
import type { PipelineConfig } from '../../../../../src/serve/pipeline/pipeline.ts';
import { parseStream } from '../../../../../src/settings/config/parse-stream.ts';
import type { StreamConfig } from '../../../../../src/settings/config/stream.ts';
import { randomPatch } from '../../../../support/random-patches.ts';

const SOURCE = 'rtsp://camera.example/1';

function pipeline(streams: readonly object[], defaults: object = {}): PipelineConfig {
  return parsePipeline(JSON.stringify({ name: 'p', description: 'Some streams.', defaults, streams }), 'test');
}

const door = { id: 'door', source: SOURCE, maxFps: 15 };
const settings = (stream: object, defaults = {}): StreamConfig => parseStream(stream, defaults);

describe('an overlay', () => {
  it('without entries leaves the streams of the file as they are', () => {
    const file = pipeline([door]);
    expect(overlaid(file, {})).toEqual({ streams: [{ config: file.streams[0], isPaused: false }], notes: [] });
  });

  it('removes, adds, changes and pauses; added streams come last', () => {
    const file = pipeline([door, { id: 'gate', source: SOURCE }, { id: 'yard', source: SOURCE }]);
    const { streams, notes } = overlaid(file, {
      new: { added: { source: SOURCE, every: 2 } },
      door: { changed: { maxFps: { file: 15, now: 7 } } },
      gate: { isRemoved: true },
      yard: { isPaused: true },
    });
    expect(streams).toEqual([
      { config: settings({ ...door, maxFps: 7 }), isPaused: false },
      { config: file.streams[2], isPaused: true },
      { config: settings({ id: 'new', source: SOURCE, every: 2 }), isPaused: false },
    ]);
    expect(notes).toEqual([]);
  });

  it('can take a key away, and set one that the file does not have', () => {
    const { streams } = overlaid(pipeline([door]), { door: { changed: { maxFps: { file: 15 }, every: { now: 3 } } } });
    expect(streams[0]!.config).toEqual(settings({ id: 'door', source: SOURCE, every: 3 }));
  });

  it('takes precedence key by key when the file changes, and says which keys the file has changed', () => {
    const file = pipeline([{ ...door, maxFps: 10, weight: 3 }]);
    const { streams, notes } = overlaid(file, { door: { changed: { maxFps: { file: 15, now: 7 } } } });
    expect(streams[0]!.config).toMatchObject({ maxFps: 7, weight: 3 });
    expect(notes).toEqual([expect.stringContaining('new values of maxFps of stream "door"')]);
  });

  it('says nothing when the file has taken over what was changed', () => {
    const { notes } = overlaid(pipeline([{ ...door, maxFps: 7 }]), {
      door: { changed: { maxFps: { file: 15, now: 7 } } },
    });
    expect(notes).toEqual([]);
  });

  it('of a stream that the file no longer has is not used, and said; a removal needs no word', () => {
    const { streams, notes } = overlaid(pipeline([]), {
      door: { changed: { maxFps: { file: 15, now: 7 } } },
      gate: { isRemoved: true },
    });
    expect(streams).toEqual([]);
    expect(notes).toEqual([expect.stringContaining('no longer has stream "door"')]);
  });

  it('that does not fit the file any more leaves the stream of the file, and says why', () => {
    const file = pipeline([{ ...door, maxFps: 0.5 }]);
    const { streams, notes } = overlaid(file, {
      door: { changed: { track: { file: false, now: { lostMs: 1000 } } } },
    });
    expect(streams[0]!.config).toEqual(file.streams[0]);
    expect(notes).toEqual([
      expect.stringMatching(/door.*track\.lostMs: expected at least 2000.*settings of the file are used/),
    ]);
  });

  it('with an added stream that is no longer valid runs the others', () => {
    const { streams, notes } = overlaid(pipeline([door]), { new: { added: { source: SOURCE, every: 0 } } });
    expect(streams.map(({ config }) => config.id)).toEqual(['door']);
    expect(notes).toEqual([expect.stringMatching(/new.*every.*it does not run/)]);
  });

  it('with an added stream that the models do not fit any more starts it, so that it can be seen, and says so', () => {
    const { streams, notes } = overlaid(pipeline([]), { new: { added: { source: SOURCE } } }, ({ id }) => {
      throw new Error(`no model for ${id}`);
    });
    expect(streams).toEqual([{ config: expect.objectContaining({ id: 'new' }), isPaused: false, isUnfit: true }]);
    expect(notes).toEqual([expect.stringMatching(/no model for new; it does not run/)]);
  });

  it('with an added stream that the file has now uses its own settings, and says so', () => {
    const { streams, notes } = overlaid(pipeline([door]), { door: { added: { source: SOURCE, maxFps: 3 } } });
    expect(streams[0]!.config.maxFps).toBe(3);
    expect(notes).toEqual([expect.stringContaining('"door", which was added before')]);
  });

  it('gives added streams the new defaults of the file', () => {
    const file = pipeline([], { priority: 4 });
    const entry = overlayEntryOf(
      null,
      {},
      { config: settings({ id: 'new', source: SOURCE, every: 2 }), isPaused: false },
    )!;
    expect(entry).toEqual({ added: { source: SOURCE, every: 2 } });
    expect(overlaid(file, { new: entry }).streams[0]!.config).toMatchObject({ every: 2, priority: 4 });
  });
});

describe('the entry of a stream', () => {
  it('is gone when the stream has what the file says', () => {
    const [base] = pipeline([door]).streams;
    expect(overlayEntryOf(base!, {}, { config: base!, isPaused: false })).toBeUndefined();
    expect(overlayEntryOf(null, {}, null)).toBeUndefined();
  });

  it('restores exactly what it was made from, through JSON, whatever is changed', () => {
    const file = pipeline([door, { id: 'gate', source: SOURCE, track: true }], { weight: 2, queueSize: 8 });
    fc.assert(
      fc.property(
        fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
        fc.boolean(),
        (numbers, isPaused) => {
          const random = (): number => numbers.next().value as number;
          for (const id of ['door', 'gate', 'new']) {
            const base = file.streams.find((stream) => stream.id === id) ?? null;
            const { patch, isValid } = randomPatch(random);
            if (!isValid) continue;
            const before = base ?? parseStream({ id, source: SOURCE }, file.defaults);
            let config: StreamConfig;
            try {
              config = settings({ ...before, ...patch });
            } catch {
              continue;
            }
            const entry = overlayEntryOf(base, file.defaults, { config, isPaused });
            const stored = overlayStreams.parse(JSON.parse(JSON.stringify(entry === undefined ? {} : { [id]: entry })));
            const { streams, notes } = overlaid(file, stored);
            expect(streams.find((stream) => stream.config.id === id)).toEqual({ config, isPaused });
            expect(notes).toEqual([]);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
