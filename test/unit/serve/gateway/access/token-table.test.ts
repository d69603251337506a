import { describe, expect, it } from 'vitest';
import { ANYONE, OF_PROXY, TokenTable } from '../../../../../src/serve/gateway/access/token-table.ts';
import {
  cookieOf,
  hashOfCookie,
  hashOfToken,
  newToken,
  type TokenRecord,
} from '../../../../../src/serve/gateway/access/tokens-file.ts';

const NOW_MS = Date.parse('2026-06-01T00:00:00Z');

function record(name: string, token: string, more: Partial<TokenRecord> = {}): TokenRecord {
  return { name, role: 'viewer', hash: hashOfToken(token), createdAt: '2026-01-01T00:00:00.000Z', ...more };
}

function tableOf(...records: TokenRecord[]): TokenTable {
  const table = new TokenTable([], () => NOW_MS);
  table.replace(records);
  return table;
}

describe('a token', () => {
  it('has 256 random bits and is never the same twice', () => {
    const tokens = Array.from({ length: 100 }, newToken);
    expect(new Set(tokens).size).toBe(100);
    for (const token of tokens) expect(Buffer.from(token.replace('sightline_', ''), 'base64url')).toHaveLength(32);
  });

  it('is found by its hash and by the hash of its cookie, which are the same', () => {
    const token = newToken();
    expect(hashOfCookie(cookieOf(token))).toBe(hashOfToken(token));
    expect(tableOf(record('anna', token)).find(hashOfToken(token))).toMatchObject({ name: 'anna', role: 'viewer' });
    expect(tableOf(record('anna', token)).find(hashOfToken(newToken()))).toBeNull();
  });

  it('cannot be replaced by the stored hash, neither as a token nor as a cookie', () => {
    const stored = hashOfToken(newToken());
    expect(hashOfToken(stored)).not.toBe(stored);
    expect(hashOfCookie(stored)).not.toBe(stored);
    expect(hashOfCookie(Buffer.from(stored, 'hex').toString('base64url'))).not.toBe(stored);
  });

  it('expires at its time and not before', () => {
    const expired = (expiresAt: string): boolean => {
      const table = tableOf(record('anna', 'x', { expiresAt }));
      return table.isExpired(table.find(hashOfToken('x'))!);
    };
    expect(expired('2026-06-01T00:00:00.000Z')).toBe(true);
    expect(expired('2026-06-01T00:00:00.001Z')).toBe(false);
  });
});

describe('the table', () => {
  it('reports what came, went or changed', () => {
    const table = tableOf(record('anna', 'a'), record('ben', 'b'), record('carl', 'c'));
    expect(table.replace([record('anna', 'a'), record('ben', 'b', { role: 'admin' }), record('dora', 'd')])).toEqual({
      added: ['ben', 'dora'],
      removed: ['ben', 'carl'],
    });
    expect(table.replace([record('anna', 'a'), record('ben', 'b', { role: 'admin' }), record('dora', 'd')])).toEqual({
      added: [],
      removed: [],
    });
  });

  it('keeps a gateway locked when the last token is removed', () => {
    const table = new TokenTable();
    expect([table.isRequired, table.endOf(ANYONE)]).toEqual([false, null]);
    table.replace([record('anna', 'a')]);
    expect(table.endOf(ANYONE)).toBe('a token is required now');
    table.replace([]);
    expect(table.isRequired).toBe(true);
  });

  it('ends the connection of a token once it has expired, and none that a proxy has signed in', () => {
    let nowMs = NOW_MS;
    const table = new TokenTable([], () => nowMs);
    table.replace([record('anna', 'a', { expiresAt: '2026-06-01T00:00:01.000Z' }), record('ben', 'b')]);
    expect(table.size).toBe(2);
    const ends = () => ['a', 'b'].map((token) => table.endOf(table.find(hashOfToken(token))!));
    expect(ends()).toEqual([null, null]);
    nowMs += 1000;
    expect(ends()).toEqual(['the token has expired', null]);
    expect(table.endOf({ ...ANYONE, name: 'carl', hash: OF_PROXY })).toBeNull();
  });

  it('keeps tokens that are not in the file', () => {
    const fixed = { name: 'SIGHTLINE_TOKEN', role: 'admin', expiresMs: null, hash: hashOfToken('f') } as const;
    const table = new TokenTable([fixed]);
    expect(table.replace([])).toEqual({ added: [], removed: [] });
    expect(table.find(hashOfToken('f'))).toEqual(fixed);
  });

  it.each([
    ['the same', record('anna', 'a'), null],
    ['another role', record('anna', 'a', { role: 'admin' }), 'the token was changed'],
    ['another name', record('ben', 'a'), 'the token was changed'],
    ['a later expiry', record('anna', 'a', { expiresAt: '2027-01-01T00:00:00.000Z' }), 'the token was changed'],
    ['a new token of the same name', record('anna', 'b'), 'the token was removed'],
  ])('ends connections of a token that is now %s: %o', (_, now, reason) => {
    const table = tableOf(record('anna', 'a'));
    const identity = table.find(hashOfToken('a'))!;
    table.replace([now]);
    expect(table.endOf(identity)).toBe(reason);
  });
});
