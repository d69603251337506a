import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CliResult, ended, startCli, temporaryFolder } from '../support/cli.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { sharedDir } from '../support/shared.ts';
import { waitFor } from '../support/wait-for.ts';

interface Logged {
  readonly id: string;
  readonly kind: string;
  readonly dependsOn: Readonly<Record<string, string>>;
}

describe.skipIf(sharedDir === null)('an interrupted `sightline optimize` (needs weights in ../shared)', () => {
  const temporary = temporaryFolder();
  const videos = new VideoFolder();
  const report = join(temporary.path, 'report');
  const scratch = join(temporary.path, 'scratch');
  const path = join(report, 'measurements.jsonl');
  const children: ChildProcess[] = [];
  let clip: string;
  let other: string;

  beforeAll(async () => {
    mkdirSync(scratch);
    clip = await videos.make('clip.mp4', { frames: 200, fps: 25 });
    other = await videos.make('other.mp4', { frames: 150, fps: 25 });
  });

  afterAll(() => {
    for (const child of children) child.kill('SIGKILL');
    temporary.remove();
    videos.remove();
  });

  function start(video: string, ...flags: string[]): { child: ChildProcess; result: Promise<CliResult> } {
    const args = ['optimize', video, '--levers', 'inferenceThreads', '--budget', '60s', '--report', report, ...flags];
    const child = startCli(args, { SIGHTLINE_MODEL_PATH: join(sharedDir!, 'models'), TMPDIR: scratch });
    children.push(child);
    return { child, result: ended(child) };
  }

  function logged(): Logged[] {
    if (!existsSync(path)) return [];
    const complete = readFileSync(path, 'utf8').split('\n').slice(0, -1);
    return complete.map((line) => JSON.parse(line) as Logged);
  }

  async function untilLogged(count: number): Promise<void> {
    await waitFor(`${count} measurements`, () => logged().length >= count, { deadlineMs: 100_000 });
  }

  it('ends with 130, says how to go on, and leaves its measurements and nothing else', async () => {
    const { child, result } = start(clip);
    await untilLogged(2);
    child.kill('SIGINT');
    const { code, stderr } = await result;
    expect(code, stderr).toBe(130);
    expect(stderr).toContain('--resume continues with them');
    expect(stderr).not.toContain('bug in Sightline');
    expect(readdirSync(report)).toEqual(['measurements.jsonl']);
    expect(readdirSync(scratch).filter((name) => name.startsWith('sightline-'))).toEqual([]);
    expect(logged().map(({ id }) => id)).toEqual(logged().map((_, i) => `m${String(i + 1).padStart(3, '0')}`));
  }, 300_000);

  it('refuses a second run in its folder, and after a SIGKILL goes on with what there is', async () => {
    const before = logged();
    const killed = start(clip, '--resume');
    await untilLogged(before.length + 1);
    // On a busy machine it would be done before the second has started.
    killed.child.kill('SIGSTOP');
    const second = await start(clip, '--resume').result;
    expect(second.code, second.stderr).toBe(2);
    expect(second.stderr).toContain(`process ${killed.child.pid} on`);
    killed.child.kill('SIGKILL');
    await killed.result;
    const kept = logged();
    expect(kept.slice(0, before.length)).toEqual(before);

    const next = start(clip, '--resume');
    await untilLogged(kept.length + 1);
    next.child.kill('SIGINT');
    const { stderr } = await next.result;
    expect(stderr).not.toContain('are not used and made again');
    expect(new Set(logged().map(({ id }) => id)).size).toBe(logged().length);
  }, 300_000);

  it('does not use the measurements of another recording', async () => {
    const before = logged();
    const { child, result } = start(other, '--resume');
    await untilLogged(before.length + 1);
    child.kill('SIGINT');
    const { stderr } = await result;
    expect(stderr).toContain(
      `${before.length} of ${before.length} earlier measurements are not used and made again: ${before.length} for another recording`,
    );
    const added = logged().slice(before.length);
    expect(added[0]!.dependsOn.recording).not.toBe(before[0]!.dependsOn.recording);
    // It begins where the first run began.
    expect(added[0]).toMatchObject({ id: `m${String(before.length + 1).padStart(3, '0')}`, kind: before[0]!.kind });
  }, 300_000);
});
