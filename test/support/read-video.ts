import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findFfmpeg } from '../../src/frame/decode/ffmpeg-binary.ts';

const run = promisify(execFile);

export const ffmpeg = await findFfmpeg({ path: process.env.FFMPEG_PATH, searchPath: process.env.PATH ?? '' });

/** Runs ffmpeg; fails with what it printed. */
export async function runFfmpeg(...args: string[]): Promise<void> {
  await run(ffmpeg.path, ['-y', '-hide_banner', '-loglevel', 'error', ...args]);
}

/** What ffmpeg makes of a video file: its frames' times, its size, its stated duration. */
export async function describeVideo(path: string): Promise<{
  timesMs: number[];
  width: number;
  height: number;
  durationMs: number;
  codec: string;
}> {
  const passthrough = ffmpeg.major >= 6 ? ['-fps_mode', 'passthrough'] : ['-vsync', 'passthrough'];
  const args = ['-hide_banner', '-nostats', '-i', path, '-vf', 'showinfo', ...passthrough, '-f', 'null', '-'];
  const { stderr } = await run(ffmpeg.path, args, { maxBuffer: 2 ** 26 });
  const frames = [...stderr.matchAll(/pts_time:(\S+).*? s:(\d+)x(\d+)/g)];
  const [, hours, minutes, seconds] = /Duration: (\d+):(\d+):([\d.]+)/.exec(stderr) ?? [];
  return {
    timesMs: frames.map(([, time]) => Math.round(Number(time) * 1000)),
    width: Number(frames[0]?.[2]),
    height: Number(frames[0]?.[3]),
    durationMs: Math.round((Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000),
    codec: /Video: (\w+)/.exec(stderr)?.[1] ?? '',
  };
}

/** One decoded frame, u8 rgb24. */
export async function readFrame(path: string, frame: number): Promise<Buffer> {
  const filter = `select=eq(n\\,${frame})`;
  const args = ['-loglevel', 'error', '-i', path, '-vf', filter, '-frames:v', '1'];
  const { stdout } = await run(ffmpeg.path, [...args, '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'], {
    encoding: 'buffer',
    maxBuffer: 2 ** 26,
  });
  return stdout;
}
