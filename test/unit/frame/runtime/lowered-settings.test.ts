import { describe, expect, it } from 'vitest';
import { LoweredSettings } from '../../../../src/frame/runtime/lowered-settings.ts';
import type { StreamLoad } from '../../../../src/frame/telemetry/judge-overload.ts';

type Config = StreamLoad['config'];

function camera(id: string, change: Partial<Config> = {}): Config {
  return { id, target: { fps: 24 }, maxAgeMs: 500, track: { lostMs: 900 }, decode: 'all', ...change } as Config;
}

/** The two cameras as the remedy "lower the rate to 1 frame/s" leaves them. */
const lowered = (id: string): Config =>
  camera(id, { maxFps: 1, maxAgeMs: 1000, track: { lostMs: 1000 } as Config['track'] });
const UNDO = { maxFps: null, maxAgeMs: 500, track: { lostMs: 900 } };

describe('what was lowered during an overload', () => {
  it('is remembered with what takes it back, whoever did it, also when the overload is over', () => {
    const settings = new LoweredSettings();
    expect(settings.update([camera('a'), camera('b'), camera('c')], true)).toEqual({});
    const beganMs = Date.now();
    const { lowered: report } = settings.update([lowered('a'), lowered('b'), camera('c')], true);
    const again = { maxFps: 1, maxAgeMs: 1000, track: { lostMs: 1000 } };
    expect(report!.undo).toEqual([{ streams: ['a', 'b'], body: UNDO, undo: again }]);
    expect(report!.sinceMs).toBeGreaterThanOrEqual(beganMs);
    expect(settings.update([lowered('a'), lowered('b'), camera('c')], false).lowered).toEqual(report);
  });

  it('goes back to the settings from before the first of several', () => {
    const settings = new LoweredSettings();
    settings.update([camera('a')], true);
    settings.update([lowered('a')], true);
    const { lowered: report } = settings.update([{ ...lowered('a'), decode: 'key' }], true);
    expect(report!.undo[0]!.body).toEqual({ ...UNDO, decode: 'all' });
  });

  it.each<[what: string, next: Config]>([
    ['undone', camera('a')],
    ['raised', camera('a', { maxFps: 12 })],
    ['changed otherwise', { ...lowered('a'), maxAgeMs: 2000 }],
  ])('is forgotten once it is %s, also during the overload', (_, next) => {
    for (const isOverloaded of [true, false]) {
      const settings = new LoweredSettings();
      settings.update([camera('a')], true);
      settings.update([lowered('a')], true);
      expect(settings.update([next], isOverloaded)).toEqual({});
    }
  });

  it('is not what somebody lowers in calm times, nor a stream that is gone or comes', () => {
    const settings = new LoweredSettings();
    settings.update([camera('a'), camera('b')], false);
    expect(settings.update([lowered('a'), camera('b')], false)).toEqual({});
    settings.update([lowered('a'), lowered('b')], true);
    expect(settings.update([lowered('a')], true)).toEqual({});
    expect(settings.update([lowered('a'), lowered('b')], true)).toEqual({});
  });
});
