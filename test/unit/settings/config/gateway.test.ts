import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { check, inspect } from '../../../../src/settings/config/check.ts';
import { gatewayConfig } from '../../../../src/settings/config/gateway.ts';

describe('the settings of the gateway', () => {
  it('take origins, and addresses and networks of proxies', () => {
    const settings = {
      allowedOrigins: ['https://video.example', 'http://localhost:3000'],
      trustedProxies: ['10.0.0.1', '10.0.0.0/8', '::1', '2001:db8::/32'],
      tls: { cert: 'cert.pem', key: 'key.pem' },
      tokensFile: 'tokens.json',
    };
    expect(check(gatewayConfig, settings, 'gateway')).toMatchObject({ ...settings, audit: { maxMb: 16 } });
  });

  it.each([
    [{ allowedOrigins: ['https://video.example/page'] }, /allowedOrigins\[0\]: expected an origin/],
    [{ allowedOrigins: ['video.example'] }, /expected an origin/],
    [{ allowedOrigins: ['ftp://video.example'] }, /expected an origin/],
    [{ trustedProxies: ['proxy.example'] }, /trustedProxies\[0\]: expected an address or a network/],
    [{ trustedProxies: ['10.0.0.0/33'] }, /expected an address or a network/],
    [{ trustedProxies: ['10.0.0.0/8/8'] }, /expected an address or a network/],
    [{ trustedProxies: ['::/129'] }, /expected an address or a network/],
    [{ tls: { cert: 'cert.pem' } }, /tls\.key: expected text/],
    // A pipeline file is no place for a secret.
    [{ token: 'a token of sixteen characters' }, /token: unknown key/],
    [{ constructor: 1 }, /constructor: unknown key(?!.*native code)/s],
  ])('refuse %j', (settings, message) => {
    expect(() => check(gatewayConfig, settings, 'gateway')).toThrow(message);
  });

  it('do not repeat a token that is in the wrong place', () => {
    expect(() => check(gatewayConfig, { token: 'hunter2hunter2hunter2' }, 'gateway')).toThrow(/^((?!hunter2).)*$/s);
  });
});

describe('messages about settings', () => {
  const schema = z.strictObject({ sinks: z.array(z.strictObject({ password: z.string().min(40) })) });

  it.each([
    [{ sinks: [{ password: 'hunter2' }] }, 'sinks[0].password'],
    [{ sinks: { type: 'webhook', password: 'hunter2', apiKey: 'hunter2' } }, 'sinks: expected'],
  ])('show no value that is named like a secret: %j', (value, at) => {
    expect(inspect(schema, value).faults.join()).toContain(at);
    expect(inspect(schema, value).faults.join()).not.toContain('hunter2');
  });
});
