import { describe, expect, it } from 'vitest';
import { clientAddress } from '../../../../src/serve/gateway/client-address.ts';

describe('the address of a client behind a proxy', () => {
  it.each([
    ['10.7.7.8', '10.7.7.8'],
    ['10.7.7.8:1000', '10.7.7.8'],
    ['10.7.7.8:1001', '10.7.7.8'],
    ['2001:db8::1', '2001:db8::1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1%eth0'],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
  ])('%s is %s', (stated, address) => {
    expect(clientAddress(stated, '127.0.0.9')).toBe(address);
  });

  it.each(['unknown', 'unk1', '_hidden', '', '10.7.7.8:1000:2', '[x]:1'])(
    '%j is none: the proxy stands for it',
    (stated) => {
      expect(clientAddress(stated, '127.0.0.9')).toBe('127.0.0.9');
    },
  );
});
