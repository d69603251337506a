import { describe, expect, it } from 'vitest';
import { NetworkList } from '../../../../src/frame/source/network-list.ts';

const ALL = { v4: '0.0.0.0/0', v6: '::/0' };

describe('a list of networks', () => {
  it('contains every address only if both families are open', () => {
    expect(new NetworkList([ALL.v4, ALL.v6], 'k').isAll).toBe(true);
    expect(new NetworkList([ALL.v4], 'k').isAll).toBe(false);
    expect(new NetworkList([ALL.v6], 'k').isAll).toBe(false);
    expect(new NetworkList([], 'k').isAll).toBe(false);
  });

  it('that opens one family keeps the other closed', () => {
    const four = new NetworkList([ALL.v4, 'fd00::/8'], 'k');
    const six = new NetworkList([ALL.v6, '10.0.0.0/8'], 'k');
    const held = (list: NetworkList) => ['8.8.8.8', '10.1.2.3', '2001:db8::1', 'fd00::1'].map((each) => list.has(each));
    expect(held(four)).toEqual([true, true, false, true]);
    expect(held(six)).toEqual([false, true, true, true]);
  });

  it('reads an IPv4 address in an IPv6 one as IPv4, and leaves out zones and what is no address', () => {
    const list = new NetworkList(['10.0.0.0/8', 'fe80::/10'], 'k');
    expect(['::ffff:10.0.0.1', '::ffff:11.0.0.1', 'fe80::1%eth0', 'cam.lan'].map((each) => list.has(each))).toEqual([
      ...[true, false, true, false],
    ]);
  });
});
