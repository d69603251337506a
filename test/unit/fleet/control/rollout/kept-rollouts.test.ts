import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NO_EVIDENCE, promote, start } from '../../../../../src/fleet/control/rollout/rollout-machine.ts';
import { KeptRollouts } from '../../../../../src/fleet/control/state/kept-rollouts.ts';
import { MemoryStore } from '../../../../../src/fleet/control/store/memory-store.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';
import { rolloutRecord, seen } from '../../../../support/rollout-doubles.ts';

const anna = { who: 'anna', nowMs: 1000, evidence: NO_EVIDENCE };

describe('roll-outs of one process in a folder', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-rollouts-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** As a process does that starts with a clock at 0: behind that of the earlier one. */
  const open = (): KeptRollouts =>
    new KeptRollouts({
      store: new MemoryStore(new ManualClock()),
      leaseMs: 5000,
      pipeline: 'people / 1',
      folder,
      onNotice: () => {},
    });

  it('survive a restart with record, decisions and evidence, and fences go on rising', async () => {
    const { id: _, fence: __, ...settings } = rolloutRecord();
    const first = open();
    await first.beat({ hostId: 'a', knownFence: 0 });
    const fence = (await first.change(start(null, settings, anna), 0, null))!;
    const { rollout } = await first.beat({ hostId: 'a', knownFence: 0 });
    const figures = {
      rollout: rollout!.id,
      step: 0,
      frames: 300,
      unready: 2,
      readyInMs: null,
      abandoned: 2,
      silent: 1,
      reports: [],
    };
    await first.saveEvidence('a', { figures, snapshot: '{"sum":1.5}' });

    const second = open();
    expect((await second.beat({ hostId: 'b', knownFence: 0 })).rollout).toEqual(rollout);
    expect(await second.evidence()).toEqual({ figures, snapshot: '{"sum":1.5}' });
    expect(await second.history()).toEqual(await first.history());
    const next = await second.change(promote(rollout!, anna, seen(rollout!)), fence, 'b');
    expect(next).toBeGreaterThan(fence);
    expect((await open().beat({ hostId: 'c', knownFence: 0 })).fence).toBe(next);
  });

  it('name a damaged state file; damaged evidence is collected again', async () => {
    const { id: _, fence: __, ...settings } = rolloutRecord();
    await open().change(start(null, settings, anna), 0, null);
    writeFileSync(join(folder, 'people%20%2F%201-evidence.json'), '{"figures":');
    expect(await open().evidence()).toBeNull();
    writeFileSync(join(folder, 'people%20%2F%201-state.json'), '{"rollout":{"id":7},"decisions":[]}');
    await expect(open().beat({ hostId: 'a', knownFence: 0 })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('people%20%2F%201-state.json'),
    });
  });
});
