import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openHistory } from '../../../../src/serve/host/open-gateway.ts';
import { parsePipeline } from '../../../../src/serve/pipeline/load-pipeline.ts';
import { readEnvironment } from '../../../../src/settings/config/environment.ts';
import { ruleEvent } from '../../../support/rule-events.ts';

describe('the history of a pipeline', () => {
  let folder: string;
  let notices: string[];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-open-history-'));
    notices = [];
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** @returns whether a record is on the disk. */
  async function opened(settings: string, port?: number): Promise<boolean> {
    const config = parsePipeline(`name: a/b\ndescription: One.\n${settings}`, 'p.yaml');
    const environment = readEnvironment({ SIGHTLINE_CACHE_DIR: folder });
    const address = port === undefined ? {} : { port };
    const history = await openHistory(config, address, environment, (text) => notices.push(text));
    const isKept = await history.record(ruleEvent('a', 0, 'new'));
    await history.close();
    return isKept;
  }

  it('is a file of its name and port in the cache, or the one that it names', async () => {
    expect(await opened('gateway: { port: 8123 }')).toBe(true);
    expect(await opened('', 9000)).toBe(true);
    const path = join(folder, 'elsewhere/h.db');
    expect(await opened(`history: { path: "${path}" }`, 0)).toBe(true);
    for (const name of ['history/a%2Fb-8123.db', 'history/a%2Fb-9000.db', 'elsewhere/h.db'])
      expect([name, existsSync(join(folder, name))]).toEqual([name, true]);
    expect(notices).toEqual([]);
  });

  it('is in memory if the gateway takes any port', async () => {
    expect(await opened('', 0)).toBe(false);
    expect(existsSync(join(folder, 'history'))).toBe(false);
    expect(notices).toEqual([]);
  });

  it('leaves the events of earlier versions where they are, and says so once', async () => {
    const before = join(folder, 'events/a%2Fb-8080.jsonl');
    mkdirSync(join(folder, 'events'));
    writeFileSync(before, '{}\n');
    await opened('');
    await opened('');
    expect(notices).toEqual([`events of earlier versions stay in ${before}; the history does not read them`]);
    expect(existsSync(before)).toBe(true);
  });
});
