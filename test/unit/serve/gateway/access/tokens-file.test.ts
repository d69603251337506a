import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  changeTokensFile,
  hashOfToken,
  readTokensFile,
  type TokenRecord,
} from '../../../../../src/serve/gateway/access/tokens-file.ts';

function record(name: string): TokenRecord {
  return { name, role: 'viewer', hash: hashOfToken(name), createdAt: '2026-01-01T00:00:00.000Z' };
}

describe('the tokens file', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-tokens-'));
    path = join(folder, 'deep/tokens.json');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('is created with its folder, readable by its owner only', async () => {
    await changeTokensFile(path, (before) => [...before, record('anna')]);
    expect(await readTokensFile(path)).toEqual([record('anna')]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(folder, 'deep'))).toEqual(['tokens.json']);
  });

  it('keeps its mode, so that a gateway of the same group can go on reading it', async () => {
    await changeTokensFile(path, () => [record('anna')]);
    chmodSync(path, 0o640);
    await changeTokensFile(path, () => [record('ben')]);
    expect(statSync(path).mode & 0o777).toBe(0o640);
  });

  it('loses no change when many arrive at once', async () => {
    const names = Array.from({ length: 20 }, (_, i) => `user-${i}`);
    await Promise.all(names.map((name) => changeTokensFile(path, (before) => [...before, record(name)])));
    expect((await readTokensFile(path)).map(({ name }) => name).sort()).toEqual([...names].sort());
  });

  it('stays as it is if the change is refused', async () => {
    await changeTokensFile(path, () => [record('anna')]);
    const before = readFileSync(path, 'utf8');
    const refused = changeTokensFile(path, () => {
      throw new Error('no');
    });
    await expect(refused).rejects.toThrow('no');
    expect(readFileSync(path, 'utf8')).toBe(before);
    expect(readdirSync(join(folder, 'deep'))).toEqual(['tokens.json']);
  });

  it.each([
    ['not JSON', '{"tokens":[', 'CONFIG_INVALID', 'expected JSON'],
    [
      'a token in plain text',
      '{"tokens":[{"name":"a","role":"admin","token":"x"}]}',
      'CONFIG_INVALID',
      'token: unknown key',
    ],
    [
      'an unknown role',
      JSON.stringify({ tokens: [{ ...record('a'), role: 'root' }] }),
      'CONFIG_INVALID',
      'tokens[0].role',
    ],
    [
      'a short hash',
      JSON.stringify({ tokens: [{ ...record('a'), hash: 'abc' }] }),
      'CONFIG_INVALID',
      '64 hexadecimal digits',
    ],
    ['a name twice', JSON.stringify({ tokens: [record('a'), record('a')] }), 'CONFIG_INVALID', 'each name once'],
    [
      'the name of the other token',
      JSON.stringify({ tokens: [record('SIGHTLINE_TOKEN')] }),
      'CONFIG_INVALID',
      'another name',
    ],
    ['a name with spaces', JSON.stringify({ tokens: [record('a b')] }), 'CONFIG_INVALID', 'letters, digits'],
  ])('with %s is refused', async (_, text, code, message) => {
    await changeTokensFile(path, () => []);
    writeFileSync(path, text);
    await expect(readTokensFile(path)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  it('that cannot be read does not say how to create it', async () => {
    mkdirSync(path, { recursive: true });
    const { code, message } = (await readTokensFile(path).catch((error) => error)) as { code: string; message: string };
    expect([code, message]).toEqual(['CONFIG_NOT_FOUND', expect.stringContaining(`tokens file ${path}`)]);
    expect(message).not.toContain('tokens add');
  });

  it('that is missing says how to create it', async () => {
    await expect(readTokensFile(path)).rejects.toMatchObject({
      code: 'CONFIG_NOT_FOUND',
      message: expect.stringContaining('sightline tokens add'),
    });
  });
});
