import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AuditEntry, RequestAudit } from '../../../../src/gateway/access/request-audit.ts';
import { ManualClock } from '../../../support/manual-clock.ts';

const ENTRY: AuditEntry = {
  who: 'anna',
  role: 'operator',
  address: '192.0.2.1',
  action: 'POST /api/jobs',
  status: 201,
};

describe('the audit log', () => {
  let folder: string;
  let path: string;
  let clock: ManualClock;
  let notices: string[];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-audit-'));
    path = join(folder, 'audit/log.jsonl');
    clock = new ManualClock();
    notices = [];
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const open = (maxBytes = 1024 * 1024): RequestAudit =>
    new RequestAudit({
      path,
      maxBytes,
      clock,
      wallMs: () => 1_700_000_000_000,
      onNotice: (text) => notices.push(text),
    });
  const lines = (file = path): Record<string, unknown>[] =>
    readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));

  it('has one JSON object a line, with the time, and goes on after a restart', async () => {
    for (let run = 0; run < 2; run += 1) {
      const audit = open();
      audit.add(ENTRY);
      await audit.close();
    }
    expect(lines()).toEqual(Array(2).fill({ time: '2023-11-14T22:13:20.000Z', ...ENTRY }));
  });

  it('removes an incomplete last line of a crash', async () => {
    mkdirSync(join(folder, 'audit'));
    writeFileSync(path, `${JSON.stringify(ENTRY)}\n{"who":"ben","acti`);
    const audit = open();
    audit.add(ENTRY);
    await audit.close();
    expect(lines().map(({ who }) => who)).toEqual(['anna', 'anna']);
  });

  it('never takes more than its bytes, with the older file, and loses the oldest lines first', async () => {
    const maxBytes = 20_000;
    const audit = open(maxBytes);
    for (let i = 0; i < 2_000; i += 1) {
      audit.add({ ...ENTRY, details: String(i) });
      if (i % 10 === 0) await audit.flush();
    }
    await audit.close();
    const both = [...lines(`${path}.1`), ...(existsSync(path) ? lines() : [])].map(({ details }) => Number(details));
    expect(both).toEqual(Array.from({ length: both.length }, (_, i) => 2_000 - both.length + i));
    const bytes = statSync(`${path}.1`).size + (existsSync(path) ? statSync(path).size : 0);
    expect(bytes).toBeLessThan(maxBytes + 2_000);
    expect(both.length).toBeGreaterThan(50);
  });

  it('writes one refused request a second and counts the others', async () => {
    const audit = open();
    const refused = { ...ENTRY, who: null, role: null, status: 401 };
    for (let i = 0; i < 50; i += 1) audit.addRefusal(refused);
    audit.add(ENTRY);
    clock.advance(1000);
    audit.addRefusal(refused);
    await audit.close();
    expect(lines().map(({ status, alsoRefused }) => [status, alsoRefused])).toEqual([
      [401, undefined],
      [201, undefined],
      [401, 49],
    ]);
  });

  it('keeps lines while it cannot be written, says so once, and writes them later', async () => {
    mkdirSync(path, { recursive: true });
    const audit = open();
    audit.add(ENTRY);
    audit.add({ ...ENTRY, who: 'ben' });
    await audit.flush();
    expect(notices).toEqual([expect.stringContaining('cannot be written')]);
    rmdirSync(path);
    audit.add({ ...ENTRY, who: 'carl' });
    await audit.close();
    expect(lines().map(({ who }) => who)).toEqual(['anna', 'ben', 'carl']);
  });

  it('follows a rotation by another program', async () => {
    const audit = open();
    audit.add(ENTRY);
    await audit.flush();
    renameSync(path, join(folder, 'moved'));
    audit.add({ ...ENTRY, who: 'ben' });
    await audit.flush();
    audit.add({ ...ENTRY, who: 'carl' });
    await audit.close();
    expect([lines(join(folder, 'moved')), lines()].map((file) => file.map(({ who }) => who))).toEqual([
      ['anna', 'ben'],
      ['carl'],
    ]);
  });
});
