import { describe, expect, it } from 'vitest';
import { ID_PATTERN } from '../../../../src/base/core/ids.ts';
import { findLeftovers, type Owner, ownStreamId, thisOwner } from '../../../../src/lab/loadtest/own-streams.ts';

const OWNER: Owner = { machine: '0123abcd', pid: 4711, start: 9_876_543 };

describe('streams of a load test', () => {
  it('have names that a gateway accepts', () => {
    for (const owner of [OWNER, thisOwner(), { machine: 'ffffffff', pid: 4_194_304, start: 10 ** 12 }])
      expect(ownStreamId(owner, 1024)).toMatch(ID_PATTERN);
  });

  it('are left behind if their process has ended, and are not if it runs', () => {
    const ids = [ownStreamId(OWNER, 1), ownStreamId(OWNER, 2), 'gate', 'loadtest-7', 'loadtest-x-1-2-3'];
    expect(findLeftovers(ids, OWNER, () => false)).toEqual({ dead: ids.slice(0, 2), others: [] });
    expect(findLeftovers(ids, OWNER, () => true)).toEqual({ dead: [], others: ids.slice(0, 2) });
  });

  it('of other machines are never taken for dead', () => {
    const id = ownStreamId({ ...OWNER, machine: 'aaaaaaaa' }, 1);
    expect(findLeftovers([id], OWNER, () => false)).toEqual({ dead: [], others: [id] });
  });

  it('of this process are seen to run, those of a process that had its pid before are not', () => {
    const own = thisOwner();
    expect(findLeftovers([ownStreamId(own, 1)]).dead).toEqual([]);
    if (own.start === 0) return;
    const earlier = ownStreamId({ ...own, start: own.start - 1 }, 1);
    expect(findLeftovers([earlier]).dead).toEqual([earlier]);
  });
});
