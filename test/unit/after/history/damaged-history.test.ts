import {
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findDamage } from '../../../../src/after/history/find-damage.ts';
import { History } from '../../../../src/after/history/history.ts';
import type { FromHistory, HistoryCalls, HistoryRequest } from '../../../../src/after/history/history-records.ts';
import { HistoryService } from '../../../../src/after/history/history-service.ts';
import { ruleEvent } from '../../../support/rule-events.ts';
import { waitFor } from '../../../support/wait-for.ts';

const MIB = 2 ** 20;
const DAY_MS = 86_400_000;

let folder: string;
let path: string;
let close: (() => Promise<unknown>)[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sightline-damaged-'));
  path = join(folder, 'gate.db');
  close = [];
});
afterEach(async () => {
  for (const each of close) await each();
  rmSync(folder, { recursive: true, force: true });
});

interface Running {
  readonly messages: FromHistory[];
  ask<K extends keyof HistoryCalls>(
    method: K,
    argument?: Parameters<HistoryCalls[K]>[0],
  ): Promise<ReturnType<HistoryCalls[K]>>;
  renewals(): string[];
}

/** The thread's part of a history, whose minutes are short. */
function run(checkMs = DAY_MS): Running {
  const messages: FromHistory[] = [];
  const data = { path, maxBytes: 64 * MIB, days: 36_500 };
  const service = new HistoryService(data, (message) => messages.push(message), { maintainMs: 20, checkMs });
  let requests = 0;
  const ask = async (method: keyof HistoryCalls, argument: unknown): Promise<unknown> => {
    const id = requests++;
    void service.handle({ id, method, argument } as HistoryRequest);
    const answer = (): FromHistory | undefined =>
      messages.find((each) => (each.type === 'written' ? each.ids.includes(id) : 'id' in each && each.id === id));
    await waitFor(`an answer to ${method}`, () => answer() !== undefined);
    const found = answer()!;
    if (found.type === 'refusal') throw new Error(found.message);
    return (found as { value: unknown }).value;
  };
  let isClosed = false;
  close.push(async () => {
    if (!isClosed) await ask('close', undefined);
    isClosed = true;
  });
  return {
    messages,
    ask: ask as Running['ask'],
    renewals: () => messages.flatMap((each) => (each.type === 'renewed' ? [each.text] : [])),
  };
}

/** Writes an event that is over, one that is open, and one that no sink has got. */
async function writeEvents({ ask }: Running): Promise<void> {
  const events = [ruleEvent('over', 0, 'new'), ruleEvent('over', 1, 'end'), ruleEvent('open', 0, 'new')];
  await ask('write', { type: 'records', events: [...events, ruleEvent('waits', 0, 'new')], timeMs: 1000 });
  const records: [string, number][] = events.map(({ id, seq }) => [id, seq]);
  await ask('write', { type: 'delivered', records, kept: [['sink mail-1', { times: [1] }]], timeMs: 1000 });
}

/** Writes so much that SQLite keeps a part of the file in memory only. @returns the bytes of the file. */
async function fill({ ask }: Running): Promise<number> {
  const message = 'x'.repeat(8000);
  for (let i = 0; i < 20; i++)
    await Promise.all(
      Array.from({ length: 50 }, () =>
        ask('write', { type: 'event', event: { type: 'event', timeMs: 1000 + i, kind: 'stream-warning', message } }),
      ),
    );
  return statSync(path).size;
}

function overwrite(from: number, bytes: number): void {
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(bytes, 0xff), 0, bytes, from);
  closeSync(file);
}

/** What a start finds, read from the file. */
async function foundLater(): Promise<{ undelivered: string[]; open: string[]; kept: string[] }> {
  for (const each of close) await each();
  const { undelivered, open, kept } = await run().ask('unfinished');
  return { undelivered: undelivered.map(({ id }) => id), open: open.map(({ id }) => id), kept: [...kept.keys()] };
}

/** Writes the log into the file, as SQLite does now and then. */
function emptyLog(): void {
  const other = new DatabaseSync(path);
  other.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  other.close();
}

const NEEDED = { undelivered: ['waits'], open: ['open', 'waits'], kept: ['sink mail-1'] };

describe('the file of a history that runs', () => {
  it('is replaced as soon as SQLite finds damage, with all that a start needs', async () => {
    const running = run();
    await writeEvents(running);
    const size = await fill(running);
    overwrite(MIB, size - 2 * MIB);
    const { events } = await running.ask('page', { limit: 2000, kinds: ['stream-warning'] });
    expect(events).toEqual([]);
    expect(running.renewals()).toEqual([
      expect.stringMatching(/is damaged \(.*\); it is now .*gate-damaged\.db, and a new one begins/),
    ]);
    expect(await foundLater()).toEqual(NEEDED);
  });

  it('is replaced if streams of figures cannot be listed', async () => {
    const running = run();
    await writeEvents(running);
    const size = await fill(running);
    emptyLog();
    overwrite(4096, size - 4096);
    const span = { fromS: 0, toS: 3600, stepS: 3600, offsetS: 0 };
    expect(await running.ask('seen', span)).toEqual({ rows: [], nextS: null });
    await waitFor('the new file', () => running.renewals().length === 1);
  });

  it.each<[string, () => void, RegExp]>([
    ['bytes are overwritten', () => overwrite(8192, 20_000), /is damaged/],
    ['it is cut off', () => truncateSync(path, 20_000), /is damaged/],
    ['another text is written into it', () => writeFileSync(path, 'x'.repeat(200_000)), /is damaged/],
    ['it is removed', () => rmSync(path), /was removed while it was open; a new one begins/],
    [
      'another file takes its name',
      () => {
        copyFileSync(join(folder, 'other.db'), join(folder, 'copy'));
        renameSync(join(folder, 'copy'), path);
      },
      /was replaced while it was open; that file goes on/,
    ],
  ])('is looked at each minute, without a question or write: %s', async (_, damage, notice) => {
    new DatabaseSync(join(folder, 'other.db')).close();
    const running = run();
    await writeEvents(running);
    emptyLog();
    const before = (await running.ask('page', { limit: 10 })).events;
    expect(before).toHaveLength(4);
    damage();
    await waitFor('the new file', () => running.renewals().length > 0);
    expect(running.renewals()).toEqual([expect.stringMatching(notice)]);
    expect(await foundLater()).toEqual(NEEDED);
  });

  it('is read as a whole once a day, also if nobody seems to have written it', async () => {
    const running = run(100);
    await writeEvents(running);
    emptyLog();
    await running.ask('page', { limit: 10 });
    const { atime, mtime } = statSync(path);
    overwrite(8192, 20_000);
    utimesSync(path, atime, mtime);
    await waitFor('the new file', () => running.renewals().length > 0);
    expect(running.renewals()).toEqual([expect.stringMatching(/is damaged/)]);
  });

  it('is whole after another program has written it', async () => {
    const running = run();
    await writeEvents(running);
    emptyLog();
    const other = new DatabaseSync(path);
    other.exec("DELETE FROM events WHERE event = 'over'; VACUUM");
    other.close();
    expect(findDamage(path)).toBeNull();
    emptyLog();
    overwrite(8192, 20_000);
    expect(findDamage(path)).toMatch(/./);
  });
});

describe('a history whose file is lost', () => {
  it('writes again what sinks have not got, and says it once', async () => {
    const notices: string[] = [];
    const open = async (): Promise<History> => {
      const history = await History.open({
        path,
        maxBytes: 64 * MIB,
        days: 36_500,
        onNotice: (text) => notices.push(text),
      });
      close.push(() => history.close());
      return history;
    };
    const history = await open();
    const renewals: string[] = [];
    history.whenRenewed((text) => renewals.push(text));
    await history.record(ruleEvent('waits', 0, 'new'), ruleEvent('done', 0, 'new'), ruleEvent('done', 1, 'end'));
    history.delivered('done', 0);
    history.delivered('done', 1);
    // More than SQLite has in memory, so that nothing is left to be read.
    const message = 'x'.repeat(8000);
    for (let i = 0; i < 1000; i++) history.add({ type: 'event', timeMs: 1000, kind: 'stream-warning', message });
    await history.newest({ limit: 1 });
    emptyLog();
    overwrite(4096, statSync(path).size - 4096);
    await history.newest({ limit: 1 });
    expect(await history.record(ruleEvent('later', 0, 'new'))).toBe(true);
    await waitFor('the notice', () => renewals.length > 0);
    await history.close();
    const second = await open();
    const { undelivered } = await second.unfinished();
    expect(undelivered.map(({ event: { id } }) => id).sort()).toEqual(['later', 'waits']);
    expect(renewals).toEqual([expect.stringMatching(/is damaged .*a new one begins/)]);
    expect(notices).toEqual(renewals);
  });

  it('tells a listener that comes late of a file that was damaged at the start', async () => {
    writeFileSync(path, 'x'.repeat(50_000));
    const history = await History.open({ path, maxBytes: MIB, days: 30, onNotice: () => undefined });
    close.push(() => history.close());
    const renewals: string[] = [];
    history.whenRenewed((text) => renewals.push(text));
    expect(renewals).toEqual([expect.stringMatching(/is damaged .*a new one begins/)]);
  });
});
