import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { addFlags, given, listOf, numberIf, repeated, settingsIn, whole } from '../../../src/cli/flag-values.ts';
import { SERVER_FLAGS } from '../../../src/cli/server-flags.ts';
import { durationMs } from '../../../src/settings/config/duration.ts';

const refused = (says: RegExp) =>
  expect.objectContaining({ code: 'COMMAND_INVALID', message: expect.stringMatching(says) });

describe('the value of a flag', () => {
  it.each(['0', '9', '1.5', '', ' ', 'many', '0x'])('that must be whole, 1 to 8, is not %j', (text) => {
    expect(() => whole('--streams', 1, 8)(text)).toThrowError(
      refused(/^--streams: expected a whole number from 1 to 8, received "/),
    );
  });

  it('is a number in its range', () => {
    expect([whole('--seed', 0)('0'), whole('--seed', 0)('42'), whole('--streams', 1, 8)(' 8 ')]).toEqual([0, 42, 8]);
    expect(() => whole('--seed', 0)('-1')).toThrowError(refused(/expected a whole number from 0, received "-1"/));
    const seconds = numberIf('--seconds', 'a number above 0', (value) => value > 0);
    expect(seconds('0.5')).toBe(0.5);
    expect(() => seconds('0')).toThrowError(refused(/^--seconds: expected a number above 0, received "0"$/));
  });

  it('is a time with a unit that the flag knows', () => {
    expect(durationMs('90s', ['s', 'm', 'h'])).toBe(90_000);
    expect(durationMs(' 1.5 h ', ['s', 'm', 'h'])).toBe(5_400_000);
    expect(durationMs('30d', ['h', 'd'])).toBe(2_592_000_000);
    for (const text of ['90', '90d', 's', '-1s', '1 s s']) expect(durationMs(text, ['s', 'm', 'h'])).toBeNaN();
  });

  it('is one of several, or a list', () => {
    expect(repeated('b', repeated('a'))).toEqual(['a', 'b']);
    expect(listOf('person, car')).toEqual(['person', 'car']);
  });

  it('is left out if the flag is not given', () => {
    expect(given({ port: undefined, host: '::1', loud: false })).toEqual({ host: '::1', loud: false });
  });

  it('is an object of settings, in YAML or JSON', () => {
    expect(settingsIn('{"a": 1}', '--config', 'settings')).toEqual({ a: 1 });
    expect(settingsIn('a: 1', '--config', 'settings')).toEqual({ a: 1 });
    const wrong = (text: string, says: RegExp) =>
      expect(() => settingsIn(text, '--config', 'settings')).toThrowError(
        expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringMatching(says) }),
      );
    wrong('[1]', /^--config: expected settings$/);
    wrong('a: [1', /^--config: line 1, column \d+: not valid YAML: /);
  });

  it('is refused if it names an unknown format of the log', () => {
    const command = addFlags(new Command('run'), SERVER_FLAGS)
      .exitOverride()
      .configureOutput({ writeErr: () => undefined });
    expect(() => command.parse(['--log', 'xml'], { from: 'user' })).toThrowError(/--log.*text, json/);
    expect(command.parse(['--log', 'json'], { from: 'user' }).opts()).toMatchObject({ log: 'json' });
  });
});
