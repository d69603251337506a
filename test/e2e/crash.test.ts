import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { type CliResult, ended, startCli, temporaryFolder } from '../support/cli.ts';
import { FeedSocket } from '../support/feed-socket.ts';
import { VideoFolder } from '../support/made-videos.ts';
import { ffmpegWith } from '../support/processes.ts';
import { describeVideo } from '../support/read-video.ts';
import { waitFor, within } from '../support/wait-for.ts';

const PRELOAD = pathToFileURL('test/support/throw-on-signal.mjs').href;

const PIPELINE = (folder: string, clip: string): string => `
name: crash
description: A paced clip, the fake engine and every sink that writes files.
model: { engine: fake, fake: { callMs: 2, rows: [128, 128, 256, 256, 0.9, 0] } }
streams:
  - { id: gate, source: "${clip}", loop: true, realtime: true }
sinks:
  - { type: jsonl, path: "${join(folder, 'results.jsonl')}" }
  - { type: coco, path: "${join(folder, 'results.json')}" }
  - { type: video, path: "${join(folder, 'annotated.mp4')}", streams: [gate] }
`;

interface Crashed {
  readonly result: CliResult;
  /** Frame numbers that a client received before the exception. */
  readonly seen: readonly number[];
}

describe('sightline run with an uncaught exception', () => {
  const videos = new VideoFolder();
  afterAll(() => videos.remove());

  async function crash(kind: 'exception' | 'rejection', folder: string): Promise<Crashed> {
    const pipeline = join(folder, 'pipeline.yaml');
    writeFileSync(pipeline, PIPELINE(folder, await videos.make('clip.mp4', { frames: 100, fps: 50 })));
    const env = { NODE_OPTIONS: `--import=${PRELOAD}`, THROW_ON_SIGNAL: kind };
    const child = startCli(['run', pipeline, '--port', '0'], env);
    const result = ended(child);
    let log = '';
    child.stderr!.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    await waitFor('the gateway', () => /live at (http:\S+)/.test(log));
    const feed = await FeedSocket.open(/live at (http:\S+)/.exec(log)![1]!);
    feed.say({ type: 'subscribe', topics: ['detections'] });
    await waitFor('results', () => feed.of('detections').length > 60);
    child.kill('SIGUSR2');
    const seen = feed.of('detections').map(({ frame }) => frame);
    return { result: await within('the end of the process', 20_000, result), seen };
  }

  it.each(['exception', 'rejection'] as const)(
    'flushes every result and exits with code 1: %s',
    async (kind) => {
      const temporary = temporaryFolder();
      onTestFinished(() => temporary.remove());
      const { result, seen } = await crash(kind, temporary.path);
      expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining('injected by the test') });
      expect(result.stderr).toContain('results were flushed');

      const text = readFileSync(join(temporary.path, 'results.jsonl'), 'utf8');
      expect(text.endsWith('\n'), 'the last line is whole').toBe(true);
      const lines = text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as { frame: number; detections: unknown[] });
      const frames = new Set(lines.map(({ frame }) => frame));
      expect(
        seen.filter((frame) => !frames.has(frame)),
        'published and not written',
      ).toEqual([]);

      const coco = JSON.parse(readFileSync(join(temporary.path, 'results.json'), 'utf8')) as unknown[];
      const boxes = lines.reduce((sum, { detections }) => sum + detections.length, 0);
      expect(boxes).toBeGreaterThan(60);
      expect(coco).toHaveLength(boxes);

      const video = join(temporary.path, 'annotated.mp4');
      expect(existsSync(video)).toBe(true);
      expect((await describeVideo(video)).timesMs.length).toBeGreaterThan(30);
      await waitFor('the end of ffmpeg', () => ffmpegWith(videos.marker).length === 0);
    },
    60_000,
  );
});
