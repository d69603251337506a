import { describe, expect, it } from 'vitest';
import { choosePipeline } from '../../../../../src/fleet/control/orders/choose-pipeline.ts';
import type { HostCard } from '../../../../../src/wire/protocol/fleet.ts';

const hosts = (...pipelines: string[]) => pipelines.map((pipeline) => ({ pipeline }) as HostCard);

describe('the pipeline of an order that names none', () => {
  it('is the one that all hosts run', () => {
    expect(choosePipeline(hosts('day', 'day'), '--pipeline')).toBe('day');
  });

  it.each([
    [[], 'pipeline: none is given, and no host of the fleet has joined yet'],
    [
      ['night', 'day', 'night'],
      'pipeline: expected the name of a pipeline, received none, and hosts run day, night; name one',
    ],
  ])('is asked for where they run %j', (pipelines, message) => {
    expect(() => choosePipeline(hosts(...pipelines), 'pipeline')).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message }),
    );
  });
});
