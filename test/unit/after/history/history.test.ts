import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { History, type HistoryOptions } from '../../../../src/after/history/history.ts';
import type { EventQuery } from '../../../../src/after/history/history-records.ts';
import { seededRandom } from '../../../../src/base/core/seeded-random.ts';
import type { EventKind, EventMessage } from '../../../../src/wire/protocol/feed.ts';
import type { RuleEvent } from '../../../../src/wire/protocol/rule-event.ts';
import { ruleEvent } from '../../../support/rule-events.ts';
import { mountSmallDisk } from '../../../support/small-disk.ts';
import { waitFor } from '../../../support/wait-for.ts';

const START_MS = 1_700_000_000_000;
const MIB = 2 ** 20;

let folder: string;
let path: string;
let notices: string[];
let histories: History[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sightline-history-'));
  path = join(folder, 'history/gate.db');
  notices = [];
  histories = [];
});
afterEach(async () => {
  await Promise.all(histories.map((history) => history.close()));
  rmSync(folder, { recursive: true, force: true });
});

async function open(more: Partial<HistoryOptions> = {}): Promise<History> {
  const options = { path, maxBytes: 16 * MIB, days: 36_500, onNotice: (text: string) => notices.push(text), ...more };
  const history = await History.open(options);
  histories.push(history);
  return history;
}

function event(timeMs: number, kind: EventKind, message: string, stream?: string): EventMessage {
  return { type: 'event', timeMs, kind, message, ...(stream === undefined ? {} : { stream }) };
}

async function newest(history: History, query: Partial<EventQuery> = {}): Promise<string[]> {
  return (await history.newest({ limit: 200, ...query })).map(({ message }) => message);
}

/** Ids and numbers of the records that a search finds, newest first. */
async function records(history: History, query: Partial<EventQuery>): Promise<string[]> {
  const { events } = await history.page({ limit: 1000, ...query });
  return events.map(({ rule }) => `${rule?.id}.${rule?.seq}`);
}

/** What another process finds in the file. */
function askElsewhere(sql: string, file = path): unknown {
  const code = `const { DatabaseSync } = require('node:sqlite');
    const database = new DatabaseSync(${JSON.stringify(file)}, { readOnly: true });
    console.log(JSON.stringify(database.prepare(${JSON.stringify(sql)}).all()));`;
  const quiet = ['--disable-warning=ExperimentalWarning', '-e', code];
  return JSON.parse(execFileSync(process.execPath, quiet, { encoding: 'utf8' }));
}

describe('records of rules', () => {
  it('survive the process: what the sinks did not get, and events without an end, by stream', async () => {
    const first = await open();
    const written = [
      ruleEvent('a', 0, 'new'),
      ruleEvent('b', 0, 'new', { stream: 'yard' }),
      ruleEvent('a', 1, 'update'),
      ruleEvent('c', 0, 'new'),
      ruleEvent('c', 1, 'end'),
    ];
    expect(await Promise.all(written.map((each) => first.record(each)))).toEqual(Array(5).fill(true));
    first.delivered('a', 0);
    first.delivered('c', 0);
    for (const times of [[1], [1, 2]]) first.keep('sink mail-1', { times });
    await first.close();

    const second = await open();
    const { undelivered, open: unended, kept } = await second.unfinished();
    expect(kept).toEqual(new Map([['sink mail-1', { times: [1, 2] }]]));
    expect(undelivered).toEqual([written[1], written[2], written[4]].map((event) => ({ event, given: [] })));
    expect(unended).toEqual([written[1], written[2]]);
    second.delivered('b', 0);
    expect(await second.record(ruleEvent('b', 1, 'end', { endReason: 'restart' }))).toBe(true);
    expect((await second.unfinished()).undelivered.map(({ event: { id, seq } }) => `${id}.${seq}`)).toEqual([
      'a.1',
      'c.1',
      'b.1',
    ]);
    expect((await second.unfinished()).open.map(({ id }) => id)).toEqual(['a']);
    expect(notices).toEqual([]);
  });

  it('are handed out again only to the sinks that lack them, over several starts, until all have them', async () => {
    const left = async (history: History): Promise<string[]> =>
      (await history.unfinished()).undelivered.map(({ event: { id, seq }, given }) => `${id}.${seq} ${given.join()}`);
    const first = await open();
    await first.record(ruleEvent('a', 0, 'new'), ruleEvent('b', 0, 'new'));
    first.given('a', 0, 'mqtt');
    first.given('a', 0, 'mail');
    await first.close();
    const second = await open();
    expect(await left(second)).toEqual(['a.0 mqtt,mail', 'b.0 ']);
    second.given('a', 0, 'webhook');
    second.given('b', 0, 'mqtt');
    expect(await left(second)).toEqual(['a.0 mqtt,mail,webhook', 'b.0 mqtt']);
    second.delivered('b', 0);
    await second.close();
    const third = await open();
    expect(await left(third)).toEqual(['a.0 mqtt,mail,webhook']);
    third.delivered('a', 0);
    expect(await left(third)).toEqual([]);
    await third.close();
    expect(askElsewhere('SELECT * FROM kept')).toEqual([]);
  });

  it('of other hosts are searched, and are nobody else’s to deliver or to end', async () => {
    const history = await open();
    const foreign = ruleEvent('f', 0, 'new');
    history.add({ ...event(START_MS, 'rule', foreign.reason, 'gate'), rule: foreign });
    // An event of this host that another host has gone on with.
    await history.record(ruleEvent('moved', 0, 'new'));
    const next = ruleEvent('moved', 1, 'update');
    history.add({ ...event(START_MS, 'rule', next.reason, 'gate'), rule: next });
    history.delivered('moved', 0);
    expect(await history.unfinished()).toEqual({ undelivered: [], open: [], kept: new Map() });
    expect((await records(history, {})).toSorted()).toEqual(['f.0', 'moved.0', 'moved.1']);
  });

  it('are one row each, whoever reports them and how often', async () => {
    const history = await open();
    const one = ruleEvent('a', 0, 'new');
    await history.record(one);
    history.add({ ...event(START_MS, 'rule', one.reason, 'gate'), rule: one });
    await history.record(one);
    expect(await records(history, {})).toEqual(['a.0']);
    expect((await history.unfinished()).undelivered).toEqual([{ event: one, given: [] }]);
  });

  it('are not sent to its thread again when they are announced', async () => {
    const post = vi.spyOn(Worker.prototype, 'postMessage');
    const history = await open();
    const announced = (rule: RuleEvent): EventMessage => ({ ...event(START_MS, 'rule', rule.reason, 'gate'), rule });
    await history.record(ruleEvent('a', 0, 'new'), ruleEvent('b', 0, 'new'));
    const before = post.mock.calls.length;
    history.add(announced(ruleEvent('a', 0, 'new')));
    expect(post.mock.calls.length).toBe(before);
    history.add(announced(ruleEvent('a', 1, 'end')));
    expect(post.mock.calls.length).toBe(before + 1);
    expect((await records(history, {})).toSorted()).toEqual(['a.0', 'a.1', 'b.0']);
    post.mockRestore();
  });

  it('with fields of any content and kind neither stop the history nor break a search', async () => {
    const history = await open();
    const hostile = `'); DROP TABLE events; --\0\u202e"\ud800%_`;
    await history.record(
      ruleEvent(hostile, 0, 'new', { label: hostile, zone: hostile, rule: hostile, reason: hostile }),
    );
    history.add({
      ...event(START_MS, 'rule', 'odd'),
      rule: { id: {}, seq: 'x', phase: [], label: 5n } as unknown as RuleEvent,
    });
    const { events } = await history.page({ limit: 5, label: hostile, zone: hostile, rules: [hostile], text: hostile });
    // SQLite ends a lone surrogate with the sign of replacement; the record has it as it came.
    expect(events.map(({ rule }) => rule?.label)).toEqual([hostile]);
    expect(await history.record(ruleEvent('next', 0, 'new'))).toBe(true);
  });
});

describe('a search', () => {
  it('finds records by rule, label, zone or line, phase, event and time', async () => {
    const history = await open();
    await history.record(ruleEvent('a', 0, 'new'));
    await history.record(ruleEvent('a', 1, 'end'));
    const { zone: _, ...across } = ruleEvent('b', 0, 'new', {
      rule: 'in',
      line: 'gate-line',
      label: 'car',
      stream: 'yard',
    });
    await history.record(across as RuleEvent);
    history.add(event(Date.now(), 'target-missed', 'slow', 'gate'));
    expect(await records(history, { rules: ['loiter'] })).toEqual(['a.1', 'a.0']);
    expect(await records(history, { rules: ['in', 'loiter'], phase: 'new' })).toEqual(['b.0', 'a.0']);
    expect(await records(history, { label: 'car' })).toEqual(['b.0']);
    expect(await records(history, { zone: 'gate-line' })).toEqual(['b.0']);
    expect(await records(history, { zone: 'door', phase: 'new' })).toEqual(['a.0']);
    expect(await records(history, { phase: 'last' })).toEqual(['b.0', 'a.1']);
    expect(await records(history, { event: 'a', stream: 'gate' })).toEqual(['a.1', 'a.0']);
    expect(await records(history, { event: 'a', stream: 'yard' })).toEqual([]);
    expect(await records(history, { rules: ['in'], toMs: Date.now() - 3_600_000 })).toEqual([]);
  });

  it('has each event once where it was raised, with its newest record, or only those that are open', async () => {
    const history = await open();
    for (const [id, seq, phase] of [
      ['long', 0, 'new'],
      ['short', 0, 'new'],
      ['short', 1, 'end'],
      ['still', 0, 'new'],
      ['still', 1, 'update'],
      ['long', 1, 'update'],
      ['long', 2, 'end'],
    ] as const)
      await history.record(ruleEvent(id, seq, phase));
    expect(await records(history, { phase: 'last' })).toEqual(['still.1', 'short.1', 'long.2']);
    expect(await records(history, { phase: 'open' })).toEqual(['still.1']);
    const { next } = await history.page({ limit: 2, phase: 'last' });
    expect(await records(history, { phase: 'last', cursor: next! })).toEqual(['long.2']);
  });

  it('comes in pages, each event once, also of equal times', async () => {
    const history = await open();
    for (let i = 0; i < 1234; i++) history.add(event(START_MS + Math.floor(i / 7), 'stream-warning', `number ${i}`));
    const found: string[] = [];
    let pages = 0;
    for (let cursor: EventQuery['cursor']; ; pages++) {
      const { events, next } = await history.page({ limit: 100, cursor });
      found.push(...events.map(({ message }) => message));
      if (next === null) break;
      cursor = next;
    }
    expect(pages).toBe(12);
    expect(found).toEqual(Array.from({ length: 1234 }, (_, i) => `number ${1233 - i}`));
  });

  it('of several kinds gives none more than a quarter while there are others', async () => {
    const history = await open();
    history.add(event(START_MS, 'engine-failed', 'an inference thread ended'));
    for (let i = 0; i < 5000; i++) history.add(event(START_MS + i, 'line-crossed', `crossing ${i}`, 'door'));
    for (let i = 0; i < 120; i++) history.add(event(START_MS + 6000 + i, 'stream-warning', `warning ${i}`, 'door'));
    const list = await newest(history);
    expect([list[0], list.length]).toEqual(['an inference thread ended', 200]);
    expect(list).toContain('warning 0');
    // 1 and 120 leave room for 79 crossings, the newest ones.
    expect(list.filter((text) => text.startsWith('crossing'))).toEqual(
      Array.from({ length: 79 }, (_, i) => `crossing ${4921 + i}`),
    );
  });

  it('finds events by stream, kind, text and time', async () => {
    const history = await open();
    for (let i = 0; i < 1000; i++) {
      const stream = i % 2 === 0 ? 'gate' : 'gate-2';
      history.add(event(START_MS + i * 1000, 'stream-state', `${stream} is at ${i}.`, stream));
    }
    history.add(event(START_MS + 2_000_000, 'target-missed', 'gate misses its target: p99 520 ms', 'gate'));
    expect(await newest(history, { text: 'IS AT 7.' })).toEqual(['gate-2 is at 7.']);
    expect(await newest(history, { stream: 'gate', text: 'at 4.' })).toEqual(['gate is at 4.']);
    expect(await newest(history, { kinds: ['target-missed'] })).toEqual(['gate misses its target: p99 520 ms']);
    expect(await newest(history, { fromMs: START_MS + 998_000, kinds: ['stream-state'] })).toEqual([
      'gate is at 998.',
      'gate-2 is at 999.',
    ]);
    const last = await newest(history, { stream: 'gate', kinds: ['stream-state'], limit: 3 });
    expect(last).toEqual([994, 996, 998].map((i) => `gate is at ${i}.`));
    expect(await newest(history, { stream: 'nobody' })).toEqual([]);
  });
});

describe('a history that cannot be as it should', () => {
  it.each([
    ['no database', () => writeFileSync(path, 'x'.repeat(50_000))],
    ['cut off', () => truncateSync(path, 6000)],
    ['another page of zeros', () => overwrite(4096, Buffer.alloc(4096 * 4))],
  ])('is set aside if it is damaged: %s', async (_, damage) => {
    const first = await open();
    for (let i = 0; i < 300; i++) first.add(event(START_MS + i, 'stream-warning', `number ${i}`));
    await first.close();
    damage();
    const second = await open();
    expect(notices).toEqual([expect.stringMatching(/is damaged .*gate-damaged\.db, and a new one begins/)]);
    expect(existsSync(join(folder, 'history/gate-damaged.db'))).toBe(true);
    expect(await second.record(ruleEvent('a', 0, 'new'))).toBe(true);
    await second.close();
    expect(await records(await open(), {})).toEqual(['a.0']);
  });

  it('takes records whatever bytes of the file are wrong, at the start or while it runs', async () => {
    const first = await open();
    for (let i = 0; i < 500; i++) first.add(event(START_MS + i, 'stream-warning', `number ${i}`, 'gate'));
    await first.close();
    const whole = readFileSync(path);
    const random = seededRandom(5);
    for (let round = 0; round < 20; round++) {
      writeFileSync(path, whole);
      const isRunning = round % 2 === 1;
      const before = isRunning ? await open() : null;
      for (let i = 0; i < 8; i++) {
        const at = Math.floor(random() * (whole.length - 64));
        overwrite(at, Buffer.from(Array.from({ length: 64 }, () => Math.floor(random() * 256))));
      }
      const history = before ?? (await open());
      await history.newest({ limit: 10, text: 'number 4' }).catch(() => []);
      expect(await history.record(ruleEvent(`r${round}`, 0, 'new'))).toBe(true);
      await history.close();
      const last = await open();
      const { undelivered } = await last.unfinished();
      // Damage that was done while it ran may be found later, with the record in what is set aside.
      if (!isRunning) expect(undelivered.map(({ event: { id } }) => id)).toContain(`r${round}`);
      expect(await last.record(ruleEvent('last', 0, 'new'))).toBe(true);
      await last.close();
      rmSync(join(folder, 'history'), { recursive: true });
      execFileSync('mkdir', [join(folder, 'history')]);
    }
  });

  function overwrite(at: number, bytes: Buffer): void {
    const all = readFileSync(path);
    bytes.copy(all, at);
    writeFileSync(path, all);
  }

  it('begins anew if it is removed while it is open', async () => {
    const history = await open();
    expect(await history.record(ruleEvent('a', 0, 'new'))).toBe(true);
    for (const name of readdirSync(join(folder, 'history'))) rmSync(join(folder, 'history', name));
    expect(await history.record(ruleEvent('b', 0, 'new'))).toBe(true);
    expect(notices).toEqual([expect.stringMatching(/was removed while it was open; a new one begins/)]);
    expect(askElsewhere('SELECT event FROM events')).toEqual([{ event: 'a' }, { event: 'b' }]);
  });

  it('is in memory where it cannot be written, and says so once', async () => {
    writeFileSync(join(folder, 'file'), '');
    const where = join(folder, 'file/history.db');
    const history = await open({ path: where });
    expect(notices).toEqual([expect.stringContaining(`the history ${where} cannot be used`)]);
    expect(await history.record(ruleEvent('a', 0, 'new')), 'not on the disk').toBe(false);
    expect(await records(history, {})).toEqual(['a.0']);
    expect(notices).toHaveLength(1);
  });

  it('is left as it is if a newer version has written it', async () => {
    await (await open()).close();
    const code = `new (require('node:sqlite').DatabaseSync)(${JSON.stringify(path)}).exec('PRAGMA user_version = 99')`;
    execFileSync(process.execPath, ['-e', code], { stdio: 'ignore' });
    const history = await open();
    expect(notices).toEqual([expect.stringContaining('written by a newer version')]);
    history.add(event(START_MS, 'stream-warning', 'in memory'));
    expect(await newest(history)).toEqual(['in memory']);
    expect(askElsewhere('PRAGMA user_version')).toEqual([{ user_version: 99 }]);
  });

  it('is in memory if another one has the file', async () => {
    const first = await open();
    const second = await open();
    expect(notices).toEqual([
      `this process has the history ${path} already; this one is in memory until the next start`,
    ]);
    expect(await first.record(ruleEvent('a', 0, 'new'))).toBe(true);
    expect(await second.record(ruleEvent('b', 0, 'new'))).toBe(false);
    await first.close();
    const third = await open();
    expect(await records(third, {})).toEqual(['a.0']);
  });

  it('goes on after its thread has ended', async () => {
    const history = await open();
    await history.record(ruleEvent('a', 0, 'new'));
    const asked = history.unfinished();
    await history.crash();
    expect(await history.record(ruleEvent('b', 0, 'new'))).toBe(false);
    expect(history.lost).toBe(1);
    await expect(history.newest({ limit: 1 })).rejects.toMatchObject({ code: 'HISTORY_UNAVAILABLE' });
    await asked;
    await waitFor('the next thread', () => history.record(ruleEvent('c', 0, 'new')));
    expect((await records(history, {})).filter((id) => id !== 'c.0')).toEqual(['a.0']);
    expect(notices).toEqual([expect.stringContaining('the thread of the history ended')]);
  });

  it('without a file is kept as long as the process', async () => {
    const history = await open({ path: null });
    for (let i = 0; i < 1000; i++) history.add(event(START_MS + i, 'line-crossed', `crossing ${i}`));
    history.add(event(START_MS, 'target-missed', 'slow'));
    expect(await newest(history, { limit: 1001 })).toHaveLength(1001);
    expect(await newest(history, { text: 'slow' })).toEqual(['slow']);
    expect(existsSync(path)).toBe(false);
  });
});

const disk = mountSmallDisk(join(tmpdir(), `sightline-history-disk-${process.pid}`), 1024);

describe.skipIf(disk === null)('a history on a full disk (needs to mount one)', () => {
  afterAll(() => disk?.remove());

  it('keeps events in memory, says so once, and writes them when there is room', async () => {
    path = join(disk!.path, 'gate.db');
    const history = await open();
    expect(await history.record(ruleEvent('a', 0, 'new'))).toBe(true);
    const filler = join(disk!.path, 'filler');
    try {
      for (let bytes = 1024; ; bytes += 1024) writeFileSync(filler, Buffer.alloc(bytes));
    } catch {
      // It is full now.
    }
    let refused = 0;
    // The log may have room in what it has taken of the disk.
    for (let i = 0; i < 3000; i += 20) {
      const events = Array.from({ length: 20 }, (_, j) => ruleEvent('full', i + j, 'update'));
      if (!(await history.record(...events))) refused += events.length;
    }
    expect(refused).toBeGreaterThan(1000);
    expect(notices).toEqual([expect.stringMatching(/cannot be written: .*; events wait in memory/)]);
    expect((await records(history, {}))[0], 'searched in memory').toBe('full.2999');
    expect(history.lost).toBe(refused - 1000);
    rmSync(filler);
    expect(await history.record(ruleEvent('b', 0, 'new'))).toBe(true);
    expect(notices.at(-1)).toMatch(/is written again/);
    await history.close();
    disk!.grow(16 * 1024);
    const second = await open();
    const undelivered = (await second.unfinished()).undelivered.map(({ event: { id, seq } }) => `${id}.${seq}`);
    expect([undelivered[0], undelivered.at(-2), undelivered.at(-1)]).toEqual(['a.0', 'full.2999', 'b.0']);
    expect(undelivered).toHaveLength(2 + 3000 - (refused - 1000));
  });
});

describe('the file', () => {
  it('is read by another process while it is written', async () => {
    const history = await open();
    await history.record(ruleEvent('a', 0, 'new'));
    expect(askElsewhere('SELECT stream, rule, phase, delivered FROM events')).toEqual([
      { stream: 'gate', rule: 'loiter', phase: 'new', delivered: 0 },
    ]);
    const tables = askElsewhere("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name") as {
      name: string;
    }[];
    expect(tables.map(({ name }) => name)).toEqual([
      'counts',
      'embeddings',
      'events',
      'figures',
      'heat',
      'kept',
      'occupancy',
      'pictures',
      'seeing',
      'seen',
      'vectors',
    ]);
    expect(await history.record(ruleEvent('a', 1, 'end'))).toBe(true);
  });

  it('prints no warning of Node.js', async () => {
    const code = `import { History } from './dist/src/after/history/history.js';
      const history = await History.open({ path: null, maxBytes: 1e6, days: 1, onNotice: console.error });
      process.emitWarning('seen');
      await history.close();`;
    const { stderr } = await import('node:child_process').then(({ spawnSync }) =>
      spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' }),
    );
    expect(stderr).toMatch(/Warning: seen/);
    expect(stderr).not.toMatch(/SQLite/);
  });

  it('is replaced by a moved one only in name', async () => {
    const history = await open();
    await history.record(ruleEvent('a', 0, 'new'));
    renameSync(path, `${path}.moved`);
    expect(await history.record(ruleEvent('b', 0, 'new'))).toBe(true);
    expect(statSync(path).ino).not.toBe(statSync(`${path}.moved`).ino);
    expect(notices).toHaveLength(1);
  });
});
