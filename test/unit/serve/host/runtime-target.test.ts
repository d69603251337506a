import { afterEach, describe, expect, it, vi } from 'vitest';
import { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { Incidents } from '../../../../src/base/flow/incidents.ts';
import { Listeners } from '../../../../src/base/flow/listeners.ts';
import { RuntimeTarget, type RuntimeTargetOptions } from '../../../../src/serve/host/runtime-target.ts';
import type { Version } from '../../../../src/wire/protocol/rollout-records.ts';

afterEach(() => void vi.useRealTimers());

const version = (hash: string): Version => ({ hash, label: hash }) as Version;

/** A runtime whose models end when `ended` is called. */
function targetOf(names: string[]) {
  let end = (): void => undefined;
  const asked: string[] = [];
  const incidents = new Incidents();
  const runtime = {
    streams: [],
    models: names,
    primary: 'default',
    incidents,
    cpuUse: () => null,
    published: new Listeners('published', incidents),
    shadowed: new Listeners('shadowed', incidents),
    events: new Listeners('events', incidents),
    inferenceCpuMs: (name: string) => {
      asked.push(name);
      if (!names.includes(name)) throw new SightlineError('MODEL_NOT_FOUND', `no model "${name}" is loaded`);
      return 1;
    },
    // As a runtime does: the model is gone at once, and its threads end later.
    unloadModel: (name: string) => {
      names.splice(names.indexOf(name), 1);
      return new Promise<void>((resolve) => {
        end = resolve;
      });
    },
  } as unknown as RuntimeTargetOptions['runtime'];
  const target = new RuntimeTarget({ runtime, initial: version('first') } as RuntimeTargetOptions);
  return { target, runtime, asked, ended: () => end() };
}

describe('a version that is being unloaded', () => {
  it('is loaded no longer, and observing its side goes on without it', async () => {
    vi.useFakeTimers();
    const { target, runtime, asked, ended } = targetOf(['default', 'other']);
    runtime.primary = 'other';
    target.compare({ control: 'first', candidate: 'second' });
    vi.advanceTimersByTime(1000);
    expect(new Set(asked)).toEqual(new Set(['default']));
    const unloading = target.unload('first');
    expect(target.isLoaded('first')).toBe(false);
    expect(() => vi.advanceTimersByTime(5000)).not.toThrow();
    await target.unload('first');
    ended();
    await unloading;
    expect(target.isLoaded('first')).toBe(false);
    target.close();
  });
});
