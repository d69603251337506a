import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EventStore } from '../../../src/gateway/event-store.ts';
import type { EventKind, EventMessage } from '../../../src/protocol/feed.ts';

const DAY_MS = 86_400_000;
const START_MS = 1_700_000_000_000;

function event(timeMs: number, kind: EventKind, message: string, stream?: string): EventMessage {
  return { type: 'event', timeMs, kind, message, ...(stream === undefined ? {} : { stream }) };
}

describe('the events of a gateway', () => {
  let folder: string;
  let path: string;
  let notices: string[];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-events-'));
    path = join(folder, 'events/gate-8080.jsonl');
    notices = [];
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  async function open(maxBytes = 4 * 2 ** 20): Promise<EventStore> {
    const store = new EventStore();
    await store.open({ path, maxBytes, onNotice: (text) => notices.push(text) });
    return store;
  }

  /** Messages that a search finds. */
  async function found(store: EventStore, query: Partial<Parameters<EventStore['find']>[0]> = {}): Promise<string[]> {
    return (await store.find({ limit: 200, ...query })).map(({ message }) => message);
  }

  it('survive a restart, those from before the files were opened included', async () => {
    const first = new EventStore();
    first.add(event(START_MS, 'stream-added', 'early'));
    await first.open({ path, maxBytes: 2 ** 20, onNotice: (text) => notices.push(text) });
    first.add(event(START_MS + 1, 'target-missed', 'slow', 'gate'));
    first.add(event(START_MS + 2, 'line-crossed', 'crossed', 'gate'));
    await first.close();
    const second = await open();
    second.add(event(START_MS + DAY_MS, 'target-met', 'fast', 'gate'));
    expect(await found(second)).toEqual(['early', 'slow', 'crossed', 'fast']);
    expect(await found(second, { text: 'O' }), 'from disk').toEqual(['slow', 'crossed']);
    await second.close();
    expect(notices).toEqual([]);
  });

  it('of a kind that comes all the time do not push out the others', async () => {
    const store = await open();
    store.add(event(START_MS, 'engine-failed', 'an inference thread ended'));
    for (let i = 0; i < 5000; i++) store.add(event(START_MS + i, 'line-crossed', `crossing ${i}`, 'door'));
    for (let i = 0; i < 120; i++) store.add(event(START_MS + 6000 + i, 'stream-warning', `warning ${i}`, 'door'));
    const list = await found(store);
    expect(list[0]).toBe('an inference thread ended');
    expect(list).toContain('warning 0');
    // 1 and 120 leave room for 79 crossings, the newest ones.
    expect(list.filter((text) => text.startsWith('crossing'))).toEqual(
      Array.from({ length: 79 }, (_, i) => `crossing ${4921 + i}`),
    );
    await store.close();
    const restarted = await open();
    expect(await found(restarted)).toEqual(list);
    await restarted.close();
  });

  it('are found by stream, kind, text and time, also older ones than those in memory', async () => {
    const store = await open();
    for (let i = 0; i < 1000; i++) {
      const stream = i % 2 === 0 ? 'gate' : 'gate-2';
      store.add(event(START_MS + i * 1000, 'stream-state', `${stream} is at ${i}.`, stream));
    }
    store.add(event(START_MS + 2_000_000, 'target-missed', 'gate misses its target: p99 520 ms', 'gate'));
    expect(await found(store, { text: 'IS AT 7.' })).toEqual(['gate-2 is at 7.']);
    expect(await found(store, { stream: 'gate', text: 'at 4.' })).toEqual(['gate is at 4.']);
    expect(await found(store, { kinds: ['target-missed'] })).toEqual(['gate misses its target: p99 520 ms']);
    expect(await found(store, { sinceMs: START_MS + 998_000, kinds: ['stream-state'] })).toEqual([
      'gate is at 998.',
      'gate-2 is at 999.',
    ]);
    expect(await found(store, { stream: 'gate', kinds: ['stream-state'], limit: 3 })).toEqual(
      [994, 996, 998].map((i) => `gate is at ${i}.`),
    );
    expect(await found(store, { stream: 'nobody' })).toEqual([]);
    await store.close();
  });

  it('take no more of the disk than allowed, and the newest stay', async () => {
    const maxBytes = 2 ** 17;
    const store = await open(maxBytes);
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < 100; i++)
        store.add(event(START_MS + round, round % 2 === 0 ? 'line-crossed' : 'stream-warning', `number ${round}/${i}`));
      // Lets it write, as an event loop does between two events.
      await found(store, { text: 'none' });
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await store.close();
    const sizes = readdirSync(join(folder, 'events')).map((name) => statSync(join(folder, 'events', name)).size);
    // A file is renamed after the write that fills it, and the next write creates another.
    expect(sizes.length).toBeGreaterThanOrEqual(2);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(1.5 * maxBytes);
    const restarted = await open(maxBytes);
    expect(await found(restarted, { text: 'number 39/99' })).toEqual(['number 39/99']);
    expect(await found(restarted, { text: 'number 38/99' })).toEqual(['number 38/99']);
    await restarted.close();
  });

  it('go on after a crash in the middle of a line, and past lines that are no events', async () => {
    const first = await open();
    first.add(event(START_MS, 'stream-added', 'whole'));
    await first.close();
    appendFileSync(path, '{"kind":7}\nnull\n\0\0\n{"type":"event","timeMs":17000');
    const second = await open();
    second.add(event(START_MS + 1, 'stream-added', 'next'));
    await second.close();
    const third = await open();
    expect(await found(third)).toEqual(['whole', 'next']);
    expect(await found(third, { text: 'whole' })).toEqual(['whole']);
    await third.close();
    expect(readFileSync(path, 'utf8').endsWith('\n')).toBe(true);
  });

  it('are shown from memory if the disk refuses them, and it is said once', async () => {
    mkdirSync(path, { recursive: true });
    const store = await open();
    for (let i = 0; i < 5; i++) store.add(event(START_MS + i, 'stream-added', `number ${i}`));
    expect(await found(store, { text: 'number' })).toHaveLength(5);
    await store.close();
    expect(notices.filter((text) => text.includes('cannot be written'))).toHaveLength(1);
    expect(existsSync(`${path}.1`)).toBe(false);
  });

  it('are kept without files too, as many of each kind', async () => {
    const store = new EventStore();
    for (let i = 0; i < 1000; i++) store.add(event(START_MS + i, 'line-crossed', `crossing ${i}`));
    store.add(event(START_MS, 'target-missed', 'slow'));
    expect(await found(store, { limit: 1000 })).toHaveLength(251);
    expect(await found(store, { text: 'slow' })).toEqual(['slow']);
    await store.close();
  });
});
