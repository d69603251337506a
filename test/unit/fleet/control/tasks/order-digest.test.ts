import { describe, expect, it } from 'vitest';
import { orderDigest } from '../../../../../src/fleet/control/tasks/order-digest.ts';
import { stagesConfig } from '../../../../../src/settings/config/stages.ts';
import type { JobOrder } from '../../../../../src/wire/protocol/fleet.ts';
import { jobOrderOf } from '../../../../support/task-handlers.ts';

const ORDER = jobOrderOf('a', 3);
const TRACK = { highScore: 0.5, lowScore: 0.1 };

describe('the digest of an order', () => {
  it('is the same for the same order, whatever its creation time', async () => {
    expect(await orderDigest({ ...ORDER, createdMs: 77 })).toBe(await orderDigest(jobOrderOf('a', 3)));
  });

  it('does not depend on the order of the settings', async () => {
    const settings = TRACK as JobOrder['track'];
    const turned = Object.fromEntries(Object.entries(TRACK).reverse()) as JobOrder['track'];
    expect(await orderDigest({ ...ORDER, track: settings })).toBe(await orderDigest({ ...ORDER, track: turned }));
  });

  it.each<Partial<JobOrder>>([
    { id: 'b' },
    { pipeline: 'night' },
    { inputs: [...ORDER.inputs].reverse() },
    { inputs: [ORDER.inputs.join('')] },
    { outDir: '/elsewhere' },
    { track: true },
    { every: 2 },
    { segmentSeconds: 61 },
    { priority: 1 },
    { parquet: true },
    { stages: stagesConfig.parse([{ name: 'a', model: {} }]) },
  ])('differs for %j', async (change) => {
    expect(await orderDigest({ ...ORDER, ...change })).not.toBe(await orderDigest(ORDER));
  });

  it('is that of earlier versions without what they did not know', async () => {
    expect(await orderDigest({ ...ORDER, parquet: false, stages: undefined })).toBe(await orderDigest(ORDER));
  });

  it('covers the last of many inputs, and yields to the event loop', async () => {
    const many = jobOrderOf('a', 5_000);
    let turns = 0;
    let next: NodeJS.Immediate;
    const count = (): void => {
      turns += 1;
      next = setImmediate(count);
    };
    next = setImmediate(count);
    const digest = await orderDigest(many);
    const other = await orderDigest({ ...many, inputs: [...many.inputs.slice(0, -1), '/videos/other.mp4'] });
    clearImmediate(next);
    expect(other).not.toBe(digest);
    expect(turns).toBeGreaterThan(0);
  });
});
