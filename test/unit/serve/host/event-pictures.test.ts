import sharp from 'sharp';
import { expect, it } from 'vitest';
import type { StreamSign } from '../../../../src/base/core/blind-sign.ts';
import type { PublishedFrame } from '../../../../src/base/core/frame.ts';
import { Listeners } from '../../../../src/base/flow/listeners.ts';
import type { Runtime } from '../../../../src/frame/runtime/runtime.ts';
import { EventPictures } from '../../../../src/serve/host/event-pictures.ts';
import type { KeptPicture } from '../../../../src/wire/protocol/event-picture.ts';
import { ruleEvent } from '../../../support/rule-events.ts';
import { publishedFrame } from '../../../support/runtime-double.ts';

const SIZE = { width: 64, height: 48 };

/** A runtime whose frames have one grey each. */
function rig(kinds: readonly string[]) {
  let nowMs = 1_000_000;
  const published = new Listeners<PublishedFrame>('results');
  const signs = new Listeners<StreamSign>('signs');
  let current: { readonly frame: PublishedFrame; readonly grey: number } | null = null;
  const runtime = {
    published,
    signs,
    find: () => ({ config: { events: kinds.map((kind) => ({ kind })) } }),
    publishedPicture: (stream: string, trackId?: number) => {
      if (current === null || current.frame.streamId !== stream) return null;
      const whole = { x: 0, y: 0, ...SIZE };
      const pixels = new Uint8Array(SIZE.width * SIZE.height * 3).fill(current.grey);
      const box = current.frame.detections.find((each) => each.trackId === trackId)?.box ?? null;
      return { picture: { pixels, ...SIZE, part: whole, bounds: whole }, frame: current.frame, box };
    },
  } as unknown as Runtime;
  const pictures = new EventPictures(runtime, () => nowMs);
  const kept: KeptPicture[] = [];
  const show = (grey: number, during: () => void = () => undefined, trackId = 7): void => {
    const detection = { classId: 0, label: 'person', score: 0.9, box: [10, 10, 8, 20], trackId };
    current = { frame: { ...publishedFrame('gate', 0, [detection as never]), ...SIZE }, grey };
    published.emit(current.frame);
    during();
    current = null;
  };
  return {
    pictures,
    kept,
    show,
    take: (more: object) => pictures.take(ruleEvent('one', 0, 'new', more), (picture) => kept.push(picture)),
    sign: (sign: string | null) => signs.emit({ stream: 'gate', sign, isDark: false } as never),
    wait: (ms: number) => {
      nowMs += ms;
    },
    greys: async () => {
      await pictures.idle();
      return Promise.all(
        kept.map(async ({ facts, jpeg }) => [facts.moment, Math.round((await sharp(jpeg).stats()).channels[0]!.mean)]),
      );
    },
  };
}

it('an event of an object has the frame that raised it, with its box in that frame', async () => {
  const { pictures, kept, show, take } = rig(['dwells']);
  show(80);
  show(120, () => take({ kind: 'dwells', trackId: 7 }));
  show(160);
  await pictures.idle();
  expect(kept.map(({ facts }) => [facts.moment, facts.box])).toEqual([['at', [10, 10, 8, 20]]]);
  expect((await sharp(kept[0]!.jpeg).stats()).channels[0]!.mean).toBeCloseTo(120, -1);
});

it('a blind camera has the last good picture, though it was blind for long, and the first bad one', async () => {
  const { show, take, sign, wait, greys, pictures } = rig(['picture']);
  show(200);
  wait(3000);
  show(180);
  wait(3000);
  // Blind already, but not known to be.
  show(0);
  await pictures.idle();
  wait(2000);
  sign('black');
  for (let i = 0; i < 10; i++) {
    wait(3000);
    show(0);
  }
  await pictures.idle();
  take({ kind: 'picture', sign: 'black', trackId: undefined });
  show(2);
  expect(await greys()).toEqual([
    ['before', 180],
    ['at', 2],
  ]);
});

it('a camera that is away has its last picture, and a target that is missed one of now', async () => {
  const away = rig(['stream']);
  away.show(90);
  await away.pictures.idle();
  away.take({ kind: 'stream', sign: 'down', trackId: undefined });
  away.wait(60_000);
  away.show(200);
  expect(await away.greys()).toEqual([['before', 90]]);
  const slow = rig(['stream']);
  slow.show(90);
  await slow.pictures.idle();
  slow.take({ kind: 'stream', sign: 'target-missed', trackId: undefined });
  slow.show(200);
  expect(await slow.greys()).toEqual([['at', 200]]);
});

it('of a storm, some have no picture: copies of frames do not fill the memory', async () => {
  const { kept, show, take, pictures } = rig(['dwells']);
  show(50, () => {
    for (let i = 0; i < 200; i++) take({ kind: 'dwells', trackId: 7 });
  });
  await pictures.idle();
  expect(kept.length).toBe(32);
});
