import { describe, expect, it } from 'vitest';
import { SightlineError } from '../../../../src/base/errors/sightline-error.ts';
import { LoadRig, type RigOptions } from '../../../../src/lab/loadtest/load-rig.ts';
import type { LoadSubject } from '../../../../src/lab/loadtest/load-subject.ts';

/** A subject that gives nothing to streams from this place on. */
async function rigOf(starvedFrom: number, notes: string[]): Promise<LoadRig> {
  const subject = {
    add: async () => undefined,
    remove: async () => undefined,
    started: async (ids: readonly string[]) => {
      const without = ids.filter((id) => Number(id.split('-')[1]) >= starvedFrom);
      if (without.length < ids.length) return without;
      throw new SightlineError('SOURCE_STALLED', `${without[0]}: no result within 30 s`);
    },
    close: async () => undefined,
  } as Partial<LoadSubject> as LoadSubject;
  const { signal } = new AbortController();
  return LoadRig.open(subject, {
    protocol: 'file',
    mix: 'steady',
    seed: 1,
    seconds: 60,
    fps: 5,
    size: null,
    pictures: { kind: 'test' },
    ffmpeg: null,
    signal,
    streamId: (n: number) => `camera-${n}`,
    note: (text: string) => void notes.push(text),
  } as unknown as RigOptions);
}

describe('a step in which cameras get nothing', () => {
  it('is measured, and says which: the load is what is asked about', async () => {
    const notes: string[] = [];
    const rig = await rigOf(4, notes);
    await rig.setCameras(3);
    await rig.setCameras(6);
    await rig.setCameras(8);
    expect(rig.count).toBe(8);
    expect(notes).toEqual([
      expect.stringMatching(/^6 cameras: camera-4, camera-5, camera-6 had no result at first/),
      expect.stringMatching(/^8 cameras: camera-7, camera-8 had no result/),
    ]);
  });

  it('fails if not even the first cameras have a result', async () => {
    await expect((await rigOf(0, [])).setCameras(2)).rejects.toMatchObject({ code: 'SOURCE_STALLED' });
  });
});
