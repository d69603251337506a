import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { Sightline, type SightlineOptions } from '../../src/index.ts';
import { waitFor } from '../support/wait-for.ts';

const folder = mkdtempSync(join(tmpdir(), 'sightline-readers-'));
const opened: Sightline[] = [];
afterEach(async () => {
  for (const engine of opened.splice(0)) await engine.close().catch(() => undefined);
});
afterAll(() => rmSync(folder, { recursive: true }));

const FAKE = { engine: 'fake', fake: { rows: [128, 128, 256, 256, 0.9, 0] } } as const;
const file = (seconds: number) => `synthetic:testsrc2=size=320x180:rate=25:duration=${seconds}`;

async function open(options: SightlineOptions = {}): Promise<Sightline> {
  const engine = await Sightline.open({ model: FAKE, cacheDir: join(folder, 'cache'), ...options });
  opened.push(engine);
  return engine;
}

function readersOf(engine: Sightline): string[] {
  return (engine.stats().host.sinks ?? []).map(({ id }) => id);
}

describe('a reader of results is counted among the sinks no longer', () => {
  it('once it was aborted, whether it waits for a result or not', async () => {
    const engine = await open();
    const stop = new AbortController();
    const waiting = engine.results({ signal: stop.signal }).next();
    engine.results({ signal: stop.signal });
    const stays = engine.results();
    expect(readersOf(engine)).toHaveLength(3);
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    expect(readersOf(engine)).toHaveLength(1);
    await stays.return!();
    engine.results({ signal: stop.signal });
    expect(readersOf(engine)).toEqual([]);
  });

  it('once it has read the last result of its streams, and until then', async () => {
    const engine = await open();
    const results = engine.results({ streams: ['a'] });
    await engine.streams.add({ id: 'a', source: file(0.2) });
    await waitFor('the end', () => engine.streams.list()[0]?.state === 'ended');
    expect(readersOf(engine)).toHaveLength(1);
    for await (const { stream } of results) expect(stream).toBe('a');
    expect(readersOf(engine)).toEqual([]);
  });
});
