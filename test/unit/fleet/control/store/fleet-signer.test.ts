import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FleetSigner, REPLAY_WINDOW_MS } from '../../../../../src/fleet/control/store/fleet-signer.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';

const [OLD, NEW, FOREIGN] = ['a', 'b', 'c'].map((letter) => letter.repeat(32)) as [string, string, string];

function signer(keys: string, clock = new ManualClock(), fleet = '{sightline}'): FleetSigner {
  return new FleetSigner(keys, fleet, () => clock.now());
}

describe('a record', () => {
  const order = { id: 'door', config: { source: 'rtsp://camera/1', zones: [{ id: 'z', polygon: [[0, 1]] }] } };

  it('is valid where it was signed, with the fields that a script in Redis adds', () => {
    const signed = signer(NEW).sign('order:door', order);
    const stored = JSON.parse(`${JSON.stringify(signed).slice(0, -1)},"revision":17,"fence":3}`) as object;
    expect(signer(NEW).check('order:door', stored)).toBe('current');
  });

  it('is invalid if anything in it, its place, its fleet or its key is another', () => {
    const signed = signer(NEW).sign('order:door', order);
    const changed = JSON.parse(JSON.stringify(signed).replace('camera/1', 'camera/2')) as object;
    expect(signer(NEW).check('order:door', changed)).toBe('invalid');
    expect(signer(NEW).check('order:door', { ...signed, isPaused: true })).toBe('invalid');
    expect(signer(NEW).check('order:gate', signed)).toBe('invalid');
    expect(signer(NEW).check('assignment:door', signed)).toBe('invalid');
    expect(signer(NEW, new ManualClock(), '{other}').check('order:door', signed)).toBe('invalid');
    expect(signer(FOREIGN).check('order:door', signed)).toBe('invalid');
  });

  it.each([order, null, [], 'text', 7, { ...order, signature: 7 }, { ...order, signature: '' }])(
    'that nobody signed is invalid: %j',
    (record) => {
      expect(signer(NEW).check('order:door', record)).toBe('invalid');
    },
  );

  it('keeps its signature through JSON, whatever it holds', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (data) => {
        const record = { ...data, signature: undefined };
        const signed = JSON.parse(JSON.stringify(signer(NEW).sign('order:x', record))) as object;
        expect(signer(NEW).check('order:x', signed)).toBe('current');
      }),
    );
  });
});

describe('a key is replaced in two steps, while records and messages stay valid', () => {
  it('by a list of keys: the first one signs, all are accepted', () => {
    const clock = new ManualClock();
    const byOld = signer(OLD, clock).sign('order:x', { id: 'x' });
    expect(signer(`${OLD},${NEW}`).check('order:x', signer(NEW).sign('order:x', { id: 'x' }))).toBe('old');
    expect(signer(`${NEW} ${OLD}`).check('order:x', byOld)).toBe('old');
    expect(signer(NEW).check('order:x', byOld)).toBe('invalid');
    expect(signer(`${NEW},${OLD}`, clock).open('r', 'c', signer(OLD, clock).seal('c', '{}'))).toEqual({ text: '{}' });
  });

  it('from no key, by the word "unsigned"', () => {
    expect(signer(`${NEW},unsigned`).check('order:x', { id: 'x' })).toBe('old');
    expect(signer(`${NEW},unsigned`).open('r', 'c', '{"topic":"wake"}')).toEqual({ text: '{"topic":"wake"}' });
    const forged = { id: 'x', signature: 'A'.repeat(43) };
    expect(signer(`${NEW},unsigned`).check('order:x', forged)).toBe('invalid');
  });

  it.each(['', 'unsigned', 'short', `${NEW},short`])('keys "%s" are refused', (keys) => {
    expect(() => signer(keys)).toThrow(/SIGHTLINE_FLEET_KEYS: expected keys of at least 32 characters/);
  });
});

describe('a message', () => {
  it('is opened once on each route, on its channel, in its fleet', () => {
    const clock = new ManualClock();
    const [sender, receiver] = [signer(NEW, clock), signer(NEW, clock)];
    const sealed = sender.seal('bus:wake:', '{"topic":"wake"}');
    expect(receiver.open('topic', 'bus:stats:', sealed)).toMatchObject({ refusal: 'signature' });
    expect(receiver.open('topic', 'bus:wake:', sealed)).toEqual({ text: '{"topic":"wake"}' });
    expect(receiver.open('channel', 'bus:wake:', sealed)).toEqual({ text: '{"topic":"wake"}' });
    expect(receiver.open('topic', 'bus:wake:', sealed)).toMatchObject({ refusal: 'replay' });
  });

  it('that was held back behind a later one, or too long, is a replay', () => {
    const clock = new ManualClock();
    const [sender, receiver] = [signer(NEW, clock), signer(NEW, clock)];
    const [first, second, third] = [1, 2, 3].map((n) => sender.seal('c', `{"n":${n}}`)) as [string, string, string];
    expect(receiver.open('r', 'c', second)).toEqual({ text: '{"n":2}' });
    expect(receiver.open('r', 'c', first)).toMatchObject({ refusal: 'replay' });
    clock.advance(REPLAY_WINDOW_MS + 1);
    expect(receiver.open('r', 'c', third)).toMatchObject({ refusal: 'replay', why: expect.stringContaining('clocks') });
    // Even for a receiver that has just started and remembers nothing.
    expect(signer(NEW, clock).open('r', 'c', third)).toMatchObject({ refusal: 'replay' });
  });

  it('of any other text is refused, and never throws', () => {
    const sealed = signer(NEW).seal('c', '{"topic":"wake"}');
    const parts = sealed.split('.');
    const texts = ['', '{', '{"topic":"wake"}', '....', sealed.slice(1), `${sealed} `, parts.slice(1).join('.')];
    texts.push([parts[0], parts[1], '2', ...parts.slice(3)].join('.'), [...parts.slice(0, 3), '9', parts[4]].join('.'));
    for (const text of texts) expect(signer(NEW).open('r', 'c', text)).toMatchObject({ refusal: 'signature' });
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(signer(NEW).open('r', 'c', text)).toMatchObject({ refusal: 'signature' });
      }),
    );
  });

  it('of many senders leaves nothing behind after the window', () => {
    const clock = new ManualClock();
    const receiver = signer(NEW, clock);
    const early = signer(NEW, clock).seal('c', '{}');
    receiver.open('r', 'c', early);
    for (let i = 0; i < 50; i++) {
      clock.advance(REPLAY_WINDOW_MS / 25);
      expect(receiver.open('r', 'c', signer(NEW, clock).seal('c', '{}'))).toEqual({ text: '{}' });
    }
    expect(receiver.senderCount).toBeLessThanOrEqual(26);
  });
});
