import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AuditLog } from '../../../../../src/fleet/control/rollout/audit-log.ts';
import type { Decision } from '../../../../../src/wire/protocol/rollout-records.ts';
import { guardReport } from '../../../../support/rollout-doubles.ts';

function decision(fence: number): Decision {
  return {
    fence,
    timeMs: 1_700_000_000_000,
    rollout: 'rollout-1',
    pipeline: 'people',
    kind: 'advanced',
    who: 'host-1',
    isAutomatic: true,
    from: 'people@1',
    to: 'people@2',
    state: 'running',
    step: 1,
    share: 10,
    reason: 'It passed.',
    frames: 1200,
    reports: [guardReport('pass')],
  };
}

describe('the audit log', () => {
  let folder: string;
  let path: string;
  let count = 0;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sightline-audit-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  beforeEach(() => {
    count += 1;
    path = join(folder, `deep/${count}.jsonl`);
  });

  const open = (): Promise<AuditLog> => AuditLog.open(path, () => {});
  const lines = (): (Decision & { time: string })[] =>
    readFileSync(path, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Decision & { time: string });

  it('has a line with who, what, when and the figures for each decision', async () => {
    const log = await open();
    await log.append([decision(5), decision(9)]);
    await log.close();
    // 1 700 000 000 s after 1970, by `date -u -d @1700000000`.
    const time = '2023-11-14T22:13:20.000Z';
    expect(lines()).toEqual([
      { time, ...decision(5) },
      { time, ...decision(9) },
    ]);
  });

  it('writes no decision twice, across restarts too', async () => {
    const first = await open();
    await first.append([decision(5), decision(9)]);
    await first.append([decision(9)]);
    await first.close();
    const second = await open();
    await second.append([decision(5), decision(9), decision(12)]);
    await second.close();
    expect(lines().map(({ fence }) => fence)).toEqual([5, 9, 12]);
  });

  it('removes an incomplete line of a crash and writes that decision again', async () => {
    const first = await open();
    await first.append([decision(5), decision(9)]);
    await first.close();
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.slice(0, -40));
    const second = await open();
    await second.append([decision(5), decision(9)]);
    await second.close();
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  it('refuses a file of another kind', async () => {
    await (await open()).close();
    writeFileSync(path, 'stream: gate\n');
    await expect(open()).rejects.toMatchObject({ code: 'SINK_FAILED', message: expect.stringContaining(path) });
  });
});
