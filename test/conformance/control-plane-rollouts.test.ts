import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { abort, NO_EVIDENCE, promote, start } from '../../src/fleet/control/rollout/rollout-machine.ts';
import type {
  Evidence,
  RolloutChange,
  RolloutReply,
  RolloutStore,
} from '../../src/fleet/control/rollout/rollout-store.ts';
import type { Rollout } from '../../src/wire/protocol/rollout-records.ts';
import { guardReport, rolloutRecord, seen, version } from '../support/rollout-doubles.ts';
import { type FleetRig, LEASE_MS, rigMakers } from './control-plane-rigs.ts';

describe.each(rigMakers())('roll-outs in $name', (maker) => {
  let rig: FleetRig;
  let store: RolloutStore;

  beforeEach(async () => {
    if (maker.isSkipped) return;
    rig = await maker.open();
    store = rig.rollouts('people');
  });
  afterEach(async () => {
    if (!maker.isSkipped) await rig.close();
  });
  afterAll(() => maker.close());

  const it_ = it.skipIf(maker.isSkipped);
  const beat = (hostId: string, knownFence = 0): Promise<RolloutReply> => store.beat({ hostId, knownFence });
  const read = async (): Promise<Rollout> => (await beat('reader')).rollout!;
  const actor = { who: 'anna', nowMs: 1000, evidence: NO_EVIDENCE };

  function started(more: Partial<Rollout> = {}): RolloutChange {
    const { id: _, fence: __, ...settings } = rolloutRecord(more);
    return start(null, settings, actor);
  }

  function evidenceOf({ id, step }: Rollout, frames = 300): Evidence {
    const figures = {
      rollout: id,
      step,
      frames,
      unready: 0,
      readyInMs: 0,
      abandoned: 0,
      silent: 0,
      reports: [guardReport('pass')],
    };
    return { figures, snapshot: '{"seen":[1,2.5]}' };
  }

  it_('there is none at first', async () => {
    expect(await beat('a')).toMatchObject({ fence: 0, rollout: null, figures: null, decisions: [] });
    expect(await store.evidence()).toBeNull();
    expect(await store.history()).toEqual([]);
  });

  it_('a record comes back as it was written, with a fence, and so does its decision', async () => {
    const change = started();
    const fence = (await store.change(change, 0, null))!;
    expect(fence).toBeGreaterThan(0);
    const { rollout, decisions } = await beat('a');
    expect(rollout).toEqual({ ...change.rollout, fence });
    expect(decisions).toEqual([{ ...change.decision, fence }]);
    expect(await store.history()).toEqual(decisions);
  });

  it_('a host that knows the record gets nothing, and after a change only what is new', async () => {
    const first = (await store.change(started(), 0, null))!;
    expect(await beat('a', first)).toMatchObject({ fence: first, rollout: null, decisions: [] });
    const before = await read();
    const second = (await store.change(promote(before, actor, seen(before)), first, null))!;
    const { rollout, decisions } = await beat('a', first);
    expect(rollout?.fence).toBe(second);
    expect(decisions.map(({ kind, fence }) => [kind, fence])).toEqual([['advanced', second]]);
  });

  it_('a change gets a higher fence than a record that was put back, even if that is ahead of the clock', async () => {
    const ahead = { ...rolloutRecord(), fence: 9_000_000_000_000_000 };
    expect(await store.restore(ahead, [])).toBe(true);
    expect(await store.change(abort(ahead, actor), ahead.fence, null)).toBeGreaterThan(ahead.fence);
    expect((await read()).state).toBe('aborted');
  });

  it_('of two changes that are based on the same record only one is made', async () => {
    const first = (await store.change(started(), 0, null))!;
    const record = await read();
    const results = await Promise.all([
      store.change(promote(record, actor, seen(record)), first, null),
      store.change(abort(record, actor), first, null),
    ]);
    expect(results.filter((fence) => fence !== null)).toHaveLength(1);
    expect(await store.history()).toHaveLength(2);
    expect(await store.change(started(), 0, null), 'a second start').toBeNull();
  });

  it_('one host at a time is the controller, and another one after leaseMs without a beat', async () => {
    expect((await beat('a')).isController).toBe(true);
    expect((await beat('b')).isController).toBe(false);
    await rig.advance(LEASE_MS * 0.75);
    expect((await beat('a')).isController).toBe(true);
    await rig.advance(LEASE_MS * 0.75);
    expect((await beat('b')).isController).toBe(false);
    await rig.advance(LEASE_MS * 0.25);
    expect((await beat('b')).isController).toBe(true);
    expect((await beat('a')).isController).toBe(false);
  });

  it_('a controller that leaves is replaced at once; one that was replaced cannot leave for the other', async () => {
    await beat('a');
    await store.leave('a');
    expect((await beat('b')).isController).toBe(true);
    await store.leave('a');
    expect((await beat('a')).isController).toBe(false);
  });

  it_('each pipeline has its own record and its own controller', async () => {
    const other = rig.rollouts('cars / night:1');
    await beat('a');
    await store.change(started(), 0, null);
    expect(await other.beat({ hostId: 'b', knownFence: 0 })).toMatchObject({ fence: 0, isController: true });
  });

  it_('a controller that was replaced can neither change the record nor save evidence', async () => {
    await beat('a');
    const fence = (await store.change(started(), 0, null))!;
    const record = await read();
    expect(await store.saveEvidence('a', evidenceOf(record))).toBe(true);
    await rig.advance(LEASE_MS);
    expect(await store.change(promote(record, actor, seen(record)), fence, 'a'), 'expired').toBeNull();
    expect(await store.saveEvidence('a', evidenceOf(record, 999)), 'expired').toBe(false);
    await beat('b');
    expect(await store.change(promote(record, actor, seen(record)), fence, 'a'), 'replaced').toBeNull();
    expect((await store.evidence())?.figures.frames).toBe(300);
    expect(await store.change(promote(record, actor, seen(record)), fence, 'b')).toBeGreaterThan(fence);
  });

  it_('evidence survives its controller, and evidence of an earlier step is refused', async () => {
    await beat('a');
    const fence = (await store.change(started(), 0, null))!;
    const record = await read();
    await store.saveEvidence('a', evidenceOf(record));
    const figures = { ...evidenceOf(record).figures, frames: 325 };
    await store.saveEvidence('a', { figures, snapshot: null });
    expect(await store.evidence(), 'a snapshot is kept until the next one').toEqual({ ...evidenceOf(record), figures });
    await store.saveEvidence('a', evidenceOf(record));
    await rig.advance(LEASE_MS);
    expect(await store.evidence()).toEqual(evidenceOf(record));
    expect((await beat('b')).figures).toEqual(evidenceOf(record).figures);
    await store.change(promote(record, actor, seen(record)), fence, 'b');
    expect(await store.saveEvidence('b', evidenceOf(record))).toBe(false);
  });

  it_('evidence of many streams comes back: it may be much larger than any other record', async () => {
    await beat('a');
    await store.change(started(), 0, null);
    const { figures } = evidenceOf(await read());
    const snapshot = JSON.stringify({ seen: 'x'.repeat(3_000_000) });
    await store.saveEvidence('a', { figures, snapshot });
    expect((await store.evidence())?.snapshot === snapshot).toBe(true);
  });

  it_('a lost record is put back with its decisions, and never replaces a newer one', async () => {
    const first = (await store.change(started(), 0, null))!;
    const old = await read();
    const second = (await store.change(promote(old, actor, seen(old)), first, null))!;
    const newest = await read();
    const decisions = (await store.history()).toReversed();
    await rig.loseData();
    expect(await beat('a', second)).toMatchObject({ fence: 0, rollout: null });

    expect(await store.restore(old, decisions.slice(0, 1))).toBe(true);
    expect(await store.restore(newest, decisions)).toBe(true);
    expect(await store.restore(old, decisions)).toBe(false);
    expect(await read()).toEqual(newest);
    expect(await beat('b', second), 'a host that has it is not sent it again').toMatchObject({
      fence: second,
      rollout: null,
      decisions: [],
    });
    expect((await store.history()).length).toBeGreaterThan(0);
    const third = await store.change(promote(newest, actor, seen(newest)), second, null);
    expect(third, 'fences rise across the loss').toBeGreaterThan(second);
  });

  it_('a record that breaks its schema is refused', async () => {
    const { rollout, decision } = started({ steps: [0, 140] });
    await expect(store.change({ rollout, decision }, 0, null)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    const { from } = { from: { ...version('people@1'), hash: 'short' } };
    await expect(store.change({ rollout: { ...started().rollout, from }, decision }, 0, null)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
    expect((await beat('a')).fence).toBe(0);
  });
});
