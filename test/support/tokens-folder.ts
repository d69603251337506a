import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashOfToken, type TokenRecord } from '../../src/serve/gateway/access/tokens-file.ts';
import { ROLES, type Role } from '../../src/wire/protocol/feed.ts';

/** A tokens file in a folder of its own. The token of NAME is `the token of NAME`. */
export class TokensFolder {
  readonly folder = mkdtempSync(join(tmpdir(), 'sightline-tokens-'));
  readonly path = join(this.folder, 'tokens.json');

  /** Replaces the file. */
  write(...records: readonly TokenRecord[]): void {
    writeFileSync(this.path, JSON.stringify({ tokens: records }));
  }

  /** Writes a token of each role, named like it. */
  writeRoles(): void {
    this.write(...ROLES.map((role) => tokenRecord(role, role)));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function tokenOf(name: string): string {
  return `the token of ${name}`;
}

export function bearer(name: string): { authorization: string } {
  return { authorization: `Bearer ${tokenOf(name)}` };
}

export function tokenRecord(name: string, role: Role, more: Partial<TokenRecord> = {}): TokenRecord {
  return { name, role, hash: hashOfToken(tokenOf(name)), createdAt: '2026-01-01T00:00:00.000Z', ...more };
}
