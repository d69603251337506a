import { describe, expect, it } from 'vitest';
import { ffmpegArguments } from '../../../../src/frame/decode/ffmpeg-arguments.ts';

const raw = { outputOptions: ['-pix_fmt rgb24'], format: 'rawvideo', output: 'pipe:1' };

describe('ffmpegArguments', () => {
  it('splits options, joins filters, and puts each output where it was asked for', () => {
    const call = {
      ...raw,
      input: 'a clip, [1].mp4',
      inputOptions: ['-ss 3', '-an'],
      filters: ['fps=5', 'scale=320:-2'],
      firstOutput: ['-map', '0:d', '-f', 'data', 'pipe:4'],
      second: { outputOptions: ['-an'], format: 'null', output: 'pipe:3' },
      lastOutput: ['-f', 'null', '-'],
    };
    expect(ffmpegArguments(['-hide_banner'], call)).toEqual([
      '-hide_banner',
      ...['-ss', '3', '-an', '-i', 'a clip, [1].mp4'],
      ...['-map', '0:d', '-f', 'data', 'pipe:4'],
      ...['-filter:v', 'fps=5,scale=320:-2', '-pix_fmt', 'rgb24', '-f', 'rawvideo', 'pipe:1'],
      ...['-an', '-f', 'null', 'pipe:3'],
      ...['-f', 'null', '-'],
    ]);
  });

  it('passes a graph on as it is', () => {
    const call = { ...raw, input: 'a.mp4', graph: '[0:v]split[a][b];[a]null[c]' };
    expect(ffmpegArguments([], call)).toEqual([
      ...['-i', 'a.mp4', '-filter_complex', '[0:v]split[a][b];[a]null[c]'],
      ...['-pix_fmt', 'rgb24', '-f', 'rawvideo', 'pipe:1'],
    ]);
  });
});
