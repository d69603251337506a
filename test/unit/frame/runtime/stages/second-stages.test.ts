import { expect, it } from 'vitest';
import type { MonoMs } from '../../../../../src/base/core/units.ts';
import { SecondStages } from '../../../../../src/frame/runtime/stages/second-stages.ts';
import { car, StageRig, says } from '../../../../support/stage-rig.ts';

it('second stages that stay the same keep their counts; crops that wait for the others are skipped', () => {
  const rig = new StageRig();
  const [a, b] = [rig.add({ name: 'a' }), rig.add({ name: 'b' })];
  const stages = new SecondStages();
  const of = ({ config, model }: typeof a): Parameters<SecondStages['use']>[0][number] => ({ config, model });
  stages.use([of(a), of(b)]);
  rig.list = stages.all;
  const [first] = stages.all;
  const frame = rig.look([car(1)]).frame;
  const batch = first!.model.scheduler.model.batcher.next(0, 1);
  if (batch.kind === 'batch') first!.complete(batch.items[0]!, says(0), 0 as MonoMs);

  const other = rig.add({ name: 'b', max: 1 });
  stages.use([of(a), of(other)]);
  expect(stages.all[0]).toBe(first);
  expect(stages.reports(0).map(({ name, wanted, looked, inFlight }) => ({ name, wanted, looked, inFlight }))).toEqual([
    { name: 'a', wanted: 1, looked: 1, inFlight: 0 },
    { name: 'b', wanted: 0, looked: 0, inFlight: 0 },
  ]);
  rig.release(frame);
  expect(rig.slots.heldCount).toBe(0);
});
