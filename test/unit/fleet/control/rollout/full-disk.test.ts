import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Incidents } from '../../../../../src/base/flow/incidents.ts';
import { MemoryBus } from '../../../../../src/fleet/control/memory/memory-bus.ts';
import type { RolloutStore } from '../../../../../src/fleet/control/rollout/rollout-store.ts';
import { KeptRollouts } from '../../../../../src/fleet/control/state/kept-rollouts.ts';
import { StoredRollouts } from '../../../../../src/fleet/control/state/stored-rollouts.ts';
import { MemoryStore } from '../../../../../src/fleet/control/store/memory-store.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';
import { guardReport } from '../../../../support/rollout-doubles.ts';
import { INITIAL, type RolloutHost, RolloutRig } from '../../../../support/rollout-rig.ts';

const REQUEST = { model: 'new', steps: [50, 100], holdMs: 0, minFrames: 25 };

describe('roll-outs whose folder cannot be written', () => {
  let folder: string;
  let clock: ManualClock;
  let notices: string[];
  let rig: RolloutRig;
  let host: RolloutHost;

  const open = (): KeptRollouts => {
    const onNotice = (text: string): void => void notices.push(text);
    return new KeptRollouts({ store: new MemoryStore(clock), leaseMs: 5000, pipeline: 'people', folder, onNotice });
  };
  const openRig = (store: RolloutStore): RolloutRig => new RolloutRig({ store, bus: new MemoryBus(new Incidents()) });
  /** A file in place of the folder: each write fails, as on a full disk, also for root. */
  const breakFolder = (): void => {
    rmSync(folder, { recursive: true });
    writeFileSync(folder, '');
  };

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-rollouts-'));
    clock = new ManualClock();
    notices = [];
    rig = openRig(open());
    host = await rig.host('one');
    await host.agent.startRollout(REQUEST, 'anna');
    await host.agent.tick();
    breakFolder();
  });
  afterEach(async () => {
    await rig.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('roll back a bad candidate at once', async () => {
    host.panels.say(guardReport('fail'));
    await host.agent.tick();
    expect(host.agent.rollout()?.state).toBe('rolled-back');
    expect(host.target.users(INITIAL.hash)).toHaveLength(12);
  });

  it.each(['abort', 'undo', 'hold'] as const)('obey a person who wants to %s', async (verb) => {
    const report = await host.agent.actOnRollout(verb, { who: 'anna', isFull: false, seen: null });
    expect(report.state).toBe({ abort: 'aborted', undo: 'rolled-back', hold: 'holding' }[verb]);
  });

  it('keep what was observed while evidence cannot be saved', async () => {
    for (let beat = 0; beat < 3; beat += 1) await host.agent.tick();
    expect(host.panels.opened).toHaveLength(1);
    expect(host.notices.filter((text) => text.includes('failed'))).toEqual([]);
  });

  it('say so once with the path, write with a later beat, and say that too', async () => {
    await host.agent.actOnRollout('abort', { who: 'anna', isFull: false, seen: null });
    for (let beat = 0; beat < 3; beat += 1) await host.agent.tick();
    expect(notices).toEqual([expect.stringMatching(/people-state\.json cannot be written: E(EXIST|NOTDIR)/)]);

    rmSync(folder);
    await host.agent.tick();
    expect(notices.at(-1)).toBe(`roll-outs: ${folder} is written again`);
    expect((await open().beat({ hostId: 'two', knownFence: 0 })).rollout?.state).toBe('aborted');
  });

  it('let a host start whose starts cannot be counted', async () => {
    rig.kill(host);
    // A folder in place of the file.
    rmSync(join(rig.folder, 'one-starts.json'), { force: true });
    mkdirSync(join(rig.folder, 'one-starts.json'));
    host = await rig.host('one');
    expect(host.agent.rollout()).toMatchObject({ id: 'rollout-1', endedMs: null });
    expect(host.notices).toEqual([expect.stringMatching(/one-starts\.json: this start is not counted: E/)]);
  });

  it('decide although the store refuses the evidence', async () => {
    const inner = new StoredRollouts({ store: new MemoryStore(clock), leaseMs: 5000, pipeline: 'people' });
    const full: RolloutStore = {
      beat: (beat) => inner.beat(beat),
      leave: (id) => inner.leave(id),
      change: (...change) => inner.change(...change),
      saveEvidence: () => Promise.reject(new Error('OOM command not allowed')),
      evidence: () => inner.evidence(),
      restore: (...record) => inner.restore(...record),
      history: () => inner.history(),
    };
    const other = openRig(full);
    const two = await other.host('two');
    await two.agent.startRollout(REQUEST, 'anna');
    for (let beat = 0; beat < 6; beat += 1) await two.agent.tick();
    expect(two.panels.opened, 'its evidence is not discarded').toHaveLength(1);
    expect(two.notices.filter((text) => text.includes('OOM'))).toHaveLength(1);
    two.panels.say(guardReport('fail'));
    await two.agent.tick();
    expect(two.agent.rollout()?.state).toBe('rolled-back');
    await other.close();
  });
});
