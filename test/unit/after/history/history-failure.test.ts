import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { History } from '../../../../src/after/history/history.ts';
import { ManualClock } from '../../../support/manual-clock.ts';
import { waitFor } from '../../../support/wait-for.ts';

describe('a thread that cannot be started', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sightline-history-'));
  const file = join(folder, 'broken.mjs');
  writeFileSync(file, "import 'a-package-that-is-missing';\n");
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('is tried three times, said once, and is nobody else’s trouble', async () => {
    const clock = new ManualClock();
    const notices: string[] = [];
    const history = await History.open({
      path: join(folder, 'gate.db'),
      maxBytes: 2 ** 24,
      days: 30,
      entry: pathToFileURL(file),
      clock,
      onNotice: (text) => notices.push(text),
    });
    const failures: string[] = [];
    history.whenFailed((failure) => failures.push(failure));
    expect(history.failure).toBeNull();
    await waitFor('the end of the attempts', () => {
      clock.advance(1000);
      return history.failure !== null;
    });
    expect(history.failure).toMatch(
      /^the history is not kept: its thread cannot be started: .*a-package-that-is-missing/,
    );
    expect(failures).toEqual([history.failure]);
    expect(notices).toEqual([`${history.failure}; all else goes on, and the next start of this process tries again`]);
    for (let i = 0; i < 20; i++) {
      clock.advance(60_000);
      await setTimeout(10);
    }
    expect(notices).toHaveLength(1);
    history.add({ type: 'event', timeMs: 0, kind: 'sink-failed', message: 'x' });
    await expect(history.newest({ limit: 10 })).rejects.toThrow(/its thread cannot be started/);
    expect(history.lost).toBeGreaterThan(0);
    // Whoever asks late is told too.
    history.whenFailed((failure) => failures.push(`late: ${failure}`));
    expect(failures).toHaveLength(2);
    await history.close();
  });
});
