import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
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
import { type AuditEntry, RequestAudit } from '../../../../../src/serve/gateway/access/request-audit.ts';
import { ManualClock } from '../../../../support/manual-clock.ts';

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
      audit.addChange(ENTRY);
      await audit.close();
    }
    expect(lines()).toEqual(Array(2).fill({ time: '2023-11-14T22:13:20.000Z', ...ENTRY }));
  });

  it('removes an incomplete last line of a crash', async () => {
    mkdirSync(join(folder, 'audit'));
    writeFileSync(path, `${JSON.stringify(ENTRY)}\n{"who":"ben","acti`);
    const audit = open();
    audit.addChange(ENTRY);
    await audit.close();
    expect(lines().map(({ who }) => who)).toEqual(['anna', 'anna']);
  });

  it('never takes more than its bytes, with the older file, and loses the oldest lines first', async () => {
    const maxBytes = 20_000;
    const audit = open(maxBytes);
    for (let i = 0; i < 2_000; i += 1) {
      audit.addChange({ ...ENTRY, details: String(i) });
      if (i % 10 === 0) await audit.flush();
    }
    await audit.close();
    const both = [...lines(`${path}.1`), ...(existsSync(path) ? lines() : [])].map(({ details }) => Number(details));
    expect(both).toEqual(Array.from({ length: both.length }, (_, i) => 2_000 - both.length + i));
    const bytes = statSync(`${path}.1`).size + (existsSync(path) ? statSync(path).size : 0);
    expect(bytes).toBeLessThan(maxBytes + 2_000);
    expect(both.length).toBeGreaterThan(50);
  });

  const visits = (): Record<string, unknown>[] => lines(path.replace('log.jsonl', 'log-visits.jsonl'));
  const REFUSED: AuditEntry = { ...ENTRY, who: null, role: null, action: 'GET /api/streams', status: 401 };
  const FEED: AuditEntry = { ...ENTRY, who: 'ben', role: 'viewer', action: 'GET /ws', path: '/ws', status: 101 };

  it('has repeated visits as one line a minute beside the first', async () => {
    const audit = open();
    for (let i = 0; i < 215; i += 1) audit.addVisit(FEED);
    audit.addVisit({ ...FEED, who: 'carl' });
    clock.advance(60_000);
    clock.advance(600_000);
    audit.addVisit(FEED);
    await audit.close();
    expect(visits().map(({ who, repeats, since }) => [who, repeats, since])).toEqual([
      ['ben', undefined, undefined],
      ['carl', undefined, undefined],
      ['ben', 214, '2023-11-14T22:13:20.000Z'],
      ['ben', undefined, undefined],
    ]);
    expect(existsSync(path), 'visits are no changes').toBe(false);
  });

  it('writes what repeats a visit before it is closed', async () => {
    const audit = open();
    for (let i = 0; i < 3; i += 1) audit.addVisit(FEED);
    await audit.close();
    expect(visits().map(({ repeats }) => repeats)).toEqual([undefined, 2]);
  });

  it('keeps each change, however much is visited and refused, from however many addresses and with whatever path', async () => {
    const maxBytes = 20_000;
    const audit = open(maxBytes);
    for (let i = 0; i < 20; i += 1) audit.addChange({ ...ENTRY, details: String(i) });
    for (let minute = 0; minute < 60; minute += 1) {
      for (let i = 0; i < 500; i += 1) {
        audit.addVisit({ ...FEED, path: `/ws/${minute}/${i}` });
        audit.addVisit({ ...REFUSED, address: `198.51.${minute}.${i % 256}` });
      }
      clock.advance(60_000);
      await audit.flush();
    }
    await audit.close();
    expect(lines().map(({ details }) => Number(details))).toEqual(Array.from({ length: 20 }, (_, i) => i));
    const bytes = readdirSync(join(folder, 'audit')).map((file) => statSync(join(folder, 'audit', file)).size);
    expect(bytes.reduce((sum, one) => sum + one)).toBeLessThan(maxBytes + 5_000);
  });

  it('has a visit with a token though strangers are refused without end', async () => {
    const audit = open();
    for (let i = 0; i < 250; i += 1) audit.addVisit({ ...REFUSED, address: `198.51.100.${i}` });
    audit.addVisit(FEED);
    await audit.close();
    expect(visits().filter(({ who }) => who === 'ben')).toHaveLength(1);
    expect(
      visits()
        .filter(({ action }) => action === 'others')
        .at(-1),
    ).toMatchObject({ repeats: 239 });
  });

  it('has a line for each of a hundred visitors with a token, and one for all others', async () => {
    const audit = open();
    for (let i = 0; i < 105; i += 1) audit.addVisit({ ...FEED, who: `user ${i}` });
    await audit.close();
    expect(visits()).toHaveLength(100 + 2);
    expect(visits()[99]).toMatchObject({ who: 'user 99' });
    const others = { who: null, role: null, address: null, action: 'others' };
    expect(visits().slice(100)).toMatchObject([others, { ...others, repeats: 4 }]);
  });

  it('counts the repeats of each minute anew', async () => {
    const audit = open();
    for (const visitors of [1, 2, 3, 0, 1]) {
      for (let i = 0; i < visitors; i += 1) audit.addVisit(FEED);
      clock.advance(60_000);
    }
    await audit.close();
    // One in the first minute is forgotten with it; so is the second minute's once the fourth has none.
    expect(visits().map(({ repeats }) => repeats)).toEqual([undefined, undefined, 1, 3, undefined]);
  });

  it('keeps lines while it cannot be written, says so once, and writes them later', async () => {
    mkdirSync(path, { recursive: true });
    const audit = open();
    audit.addChange(ENTRY);
    audit.addChange({ ...ENTRY, who: 'ben' });
    await audit.flush();
    expect(notices).toEqual([expect.stringContaining('cannot be written')]);
    rmdirSync(path);
    audit.addChange({ ...ENTRY, who: 'carl' });
    await audit.close();
    expect(lines().map(({ who }) => who)).toEqual(['anna', 'ben', 'carl']);
  });

  it('follows a rotation by another program', async () => {
    const audit = open();
    audit.addChange(ENTRY);
    await audit.flush();
    renameSync(path, join(folder, 'moved'));
    audit.addChange({ ...ENTRY, who: 'ben' });
    await audit.flush();
    audit.addChange({ ...ENTRY, who: 'carl' });
    await audit.close();
    expect([lines(join(folder, 'moved')), lines()].map((file) => file.map(({ who }) => who))).toEqual([
      ['anna', 'ben'],
      ['carl'],
    ]);
  });
});
