import { describe, expect, it } from 'vitest';
import {
  changesBetween,
  changesNothing,
  fixedBetween,
  rolledSettings,
  skipsDiffer,
  withChanges,
} from '../../../../../src/fleet/control/rollout/stream-changes.ts';
import { parsePipeline } from '../../../../../src/serve/pipeline/load-pipeline.ts';
import { parseStream } from '../../../../../src/settings/config/parse-stream.ts';

function settings(defaults: object, streams: readonly object[]) {
  const text = JSON.stringify({ name: 'people', description: 'Cameras.', defaults, streams });
  return rolledSettings(parsePipeline(text, 'test'));
}

const camera = (id: string, more: object = {}): object => ({ id, source: `rtsp://user:secret@host/${id}`, ...more });

describe('what a version changes on the streams', () => {
  it('is nothing between equal pipelines, wherever a setting is written', () => {
    const [one, two] = [settings({ every: 2 }, [camera('a')]), settings({ every: 2 }, [camera('a', { every: 2 })])];
    expect(changesNothing(changesBetween(one, two))).toBe(true);
  });

  it('is written once for all streams, and apart for those that differ', () => {
    const skip = { trackBetween: 3 };
    const from = settings({}, [camera('a'), camera('b'), camera('c', { maxFps: 5 })]);
    const to = settings({ skip }, [camera('a'), camera('b'), camera('c')]);
    const changes = changesBetween(from, to);
    expect(changes.byId).toEqual({ c: { skip: { unchanged: false, trackBetween: 3 }, maxFps: null } });
    expect(changes.all.skip).toMatchObject(skip);
  });

  it('never is another part of the picture, which could not be compared: that is listed', () => {
    const region = { x: 0, y: 0, width: 0.1, height: 0.1 };
    const from = settings({}, [camera('a'), camera('b')]);
    const to = settings({}, [camera('a'), camera('b', { region })]);
    expect(fixedBetween(from, to)).toEqual(['region of b']);
    expect(changesNothing(changesBetween(from, to))).toBe(true);
    expect(fixedBetween(from, from)).toEqual([]);
    expect(fixedBetween(from, settings({ region }, [camera('a'), camera('b')]))).toEqual([
      'region of a',
      'region of b',
    ]);
  });

  it('never holds a source, whose address may have a password', () => {
    const all = settings({}, [camera('a')]);
    expect(JSON.stringify(all)).not.toContain('secret');
  });

  it('is applied on settings that were changed meanwhile, and removed with the version', () => {
    const [from, to] = [settings({}, [camera('a')]), settings({}, [camera('a', { every: 3 })])];
    const changes = changesBetween(from, to);
    const now = parseStream({ ...camera('a'), priority: 7 }, {});
    expect(withChanges(now, changes)).toEqual({ ...now, every: 3 });
    expect(withChanges(now, undefined)).toEqual(now);
  });

  it('applies to streams that the file does not name as its defaults say', () => {
    const changes = changesBetween(settings({}, [camera('a')]), settings({ every: 4 }, [camera('a')]));
    expect(withChanges(parseStream(camera('added later'.replaceAll(' ', '-')), {}), changes).every).toBe(4);
  });

  it('is refused if it makes no valid stream', () => {
    const changes = { all: { every: 0 }, byId: {} };
    expect(() => withChanges(parseStream(camera('a'), {}), changes)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
  });

  it('tells which versions infer other frames', () => {
    const skips = { all: { skip: { unchanged: true, trackBetween: 1 } }, byId: { b: {} } };
    expect(skipsDiffer('a', undefined, skips)).toBe(true);
    expect(skipsDiffer('b', undefined, skips)).toBe(false);
    expect(skipsDiffer('a', skips, skips)).toBe(false);
    expect(skipsDiffer('a', undefined, { all: { every: 2 }, byId: {} })).toBe(false);
  });
});
