import { describe, expect, it } from 'vitest';
import { ShadowFrames } from '../../../../src/serve/gateway/shadow-frames.ts';
import type { ShadowObservation } from '../../../../src/wire/protocol/rollout-records.ts';

const boxes = (stream: string, frame: number): ShadowObservation => ({ stream, frame, control: [], candidate: [] });

describe('frames that both versions inferred', () => {
  it('are found once there are a picture and boxes, in either order, and only once', () => {
    const found: string[] = [];
    const frames = new ShadowFrames(({ stream, frame }) => found.push(`${stream} ${frame}`));
    frames.addPicture('gate', 1);
    frames.addBoxes(boxes('yard', 1));
    frames.addBoxes(boxes('gate', 2));
    expect(found).toEqual([]);
    frames.addBoxes(boxes('gate', 1));
    frames.addPicture('gate', 2);
    frames.addPicture('gate', 2);
    frames.addBoxes(boxes('gate', 1));
    expect(found).toEqual(['gate 1', 'gate 2']);
  });

  it('are forgotten with their stream', () => {
    const found: number[] = [];
    const frames = new ShadowFrames(({ frame }) => found.push(frame));
    frames.addPicture('gate', 1);
    frames.forget('gate');
    frames.addBoxes(boxes('gate', 1));
    expect(found).toEqual([]);
  });

  it('are forgotten after 32 others', () => {
    const found: number[] = [];
    const frames = new ShadowFrames(({ frame }) => found.push(frame));
    for (let frame = 0; frame <= 32; frame += 1) frames.addPicture('gate', frame);
    frames.addBoxes(boxes('gate', 0));
    frames.addBoxes(boxes('gate', 1));
    expect(found).toEqual([1]);
  });
});
