import { describe, expect, it } from 'vitest';
import type { SourceInput, SourceOptions, SourceWindow } from '../../../../src/base/core/source.ts';
import { type DecodePlan, decodeArguments } from '../../../../src/frame/decode/decode-command.ts';

const OPTIONS: SourceOptions = { loop: false, realtime: false, rtspTransport: 'tcp', readTimeoutMs: 5000 };
const PLAN: DecodePlan = {
  ffmpegMajor: 7,
  headerTag: 'a1b2',
  canvas: { width: 512, height: 512, fit: { mode: 'stretch' } },
  every: 1,
  maxFps: null,
  afterUs: null,
  takesCommands: false,
  hwaccel: 'none',
  threads: 1,
};

function source(kind: SourceInput['kind'], url: string, options: Partial<SourceOptions> = {}): SourceInput {
  return { kind, url, label: url, isLive: false, probeAddress: null, options: { ...OPTIONS, ...options } };
}

const FILE = source('file', 'file:/videos/a b.mp4');

/** Arguments between the log settings and `-i`. */
function inputPart(input: SourceInput, plan: Partial<DecodePlan> = {}): string {
  const args = decodeArguments(input, { ...PLAN, ...plan });
  return withoutFormats(args.slice(args.indexOf('repeat+level+info') + 1, args.indexOf('-i')));
}

function withoutFormats(args: readonly string[]): string {
  return args.join(' ').replace(/ ?-format_whitelist \S+/, '');
}

function filters(plan: Partial<DecodePlan>): string {
  const args = decodeArguments(FILE, { ...PLAN, ...plan });
  return args[args.indexOf('-filter:v') + 1]!;
}

function graph(args: readonly string[]): string {
  return args[args.indexOf('-filter_complex') + 1]!;
}

describe('frames that stay on the GPU', () => {
  const stretch = { width: 512, height: 288, fit: { mode: 'stretch' } } as const;
  const letterbox = {
    width: 416,
    height: 416,
    fit: { mode: 'letterbox', anchor: 'center', padValue: 114, kernel: 'linear' },
  } as const;

  it('are scaled there, and copied at the size of the model', () => {
    const plan = { hwaccel: 'cuda_scale', canvas: stretch };
    expect(inputPart(FILE, plan)).toContain('-hwaccel cuda -hwaccel_output_format cuda ');
    expect(filters(plan)).toContain(
      'scale_cuda=w=512:h=288:interp_algo=bilinear:format=nv12,hwdownload,format=nv12,format=yuv420p,format=rgb24',
    );
    expect(filters(plan)).not.toContain('flags=');
  });

  it('keep their shape as those that ffmpeg scales on the CPU, and are padded there', () => {
    const onCpu = filters({ canvas: letterbox });
    const onGpu = filters({ canvas: letterbox, hwaccel: 'cuda_scale' });
    const size = /scale(?:_cuda)?=(w=.*?:h=.*?):(?:flags|interp_algo)=/;
    expect(size.exec(onGpu)![1]).toBe(size.exec(onCpu)![1]);
    expect(onGpu).toContain(':interp_algo=bicubic:');
    expect(onGpu.slice(onGpu.indexOf('format=yuv420p'))).toBe(onCpu.slice(onCpu.indexOf('format=yuv420p')));
  });

  it('are scaled there in both outputs of a live source', () => {
    const args = decodeArguments(
      { ...FILE, isLive: true },
      { ...PLAN, takesCommands: true, hwaccel: 'cuda_scale', canvas: stretch },
    );
    expect(graph(args).match(/scale_cuda=/g)).toHaveLength(2);
  });

  it('are copied at full size where the GPU cannot do it: views, and averaging over areas', () => {
    const views = [
      { left: 0, top: 0, right: 0.5, bottom: 1 },
      { left: 0.5, top: 0, right: 1, bottom: 1 },
    ];
    for (const canvas of [{ ...stretch, views }, { ...stretch, fit: { mode: 'stretch', kernel: 'area' } } as const]) {
      const plan = { hwaccel: 'cuda_scale', canvas };
      expect(inputPart(FILE, plan)).toContain('-hwaccel cuda -protocol');
      expect(filters(plan)).not.toContain('cuda');
    }
  });

  it('leave it with hwaccel: cuda, as before', () => {
    expect(inputPart(FILE, { hwaccel: 'cuda', canvas: stretch })).not.toContain('-hwaccel_output_format');
    expect(filters({ hwaccel: 'cuda', canvas: stretch })).not.toContain('cuda');
  });
});

describe('the scale filter', () => {
  const letterbox = { mode: 'letterbox', anchor: 'top-left', padValue: 114 } as const;

  it.each([
    ['linear', 'bicubic+accurate_rnd'],
    ['antialiased-linear', 'bilinear'],
    ['area', 'area'],
    ['cubic', 'bicubic+accurate_rnd'],
    ['vips-linear', 'bicubic+accurate_rnd'],
  ] as const)('for kernel %s is %s', (kernel, flags) => {
    const stretched = { width: 8, height: 8, fit: { mode: 'stretch', kernel } } as const;
    expect(filters({ canvas: stretched })).toContain(`scale=w=8:h=8:flags=${flags},`);
    expect(filters({ canvas: { ...stretched, fit: { ...letterbox, kernel } } })).toContain(`:flags=${flags},`);
  });

  it('rounds the size of a letterboxed picture as the rule says', () => {
    const canvas = { width: 416, height: 416, fit: letterbox };
    expect(filters({ canvas })).toContain('floor(ih*min(416/round(iw*sar)\\,416/ih)+0.5)');
    expect(filters({ canvas: { ...canvas, fit: { ...letterbox, rounding: 'floor' } } })).toContain(
      'floor(ih*min(416/round(iw*sar)\\,416/ih)+0.000001)',
    );
  });
});

describe('decodeArguments', () => {
  it('requests only the frames of the first video stream, as rgb24 on standard output', () => {
    const args = decodeArguments(FILE, PLAN);
    expect(args[args.indexOf('-i') + 1]).toBe('file:/videos/a b.mp4');
    const output = args.slice(args.indexOf('-i') + 2);
    for (const part of ['-map 0:v:0', '-fps_mode passthrough', '-an', '-sn', '-dn', '-f rawvideo'])
      expect(output.join(' ')).toContain(part);
    expect(args.at(-1)).toBe('pipe:1');
    expect(args).toContain('-nostdin');
    expect(filters({})).toBe(
      'showinfo@a1b2=checksum=0,scale=w=512:h=512:flags=bilinear,format=yuv420p,format=rgb24,setsar=1',
    );
  });

  it('reads commands, and drops frames before it prints their headers, only if it takes commands', () => {
    const args = (ffmpegMajor: number) =>
      decodeArguments(FILE, { ...PLAN, ffmpegMajor, takesCommands: true, every: 2 });
    expect(args(5)).not.toContain('-nostdin');
    expect(args(5)).not.toContain('-stats_period');
    expect(args(7).join(' ')).toContain('-stats_period 0.1');
    expect(graph(args(5))).toContain(
      'metadata=add:a1b2:0,metadata@rate=modify:a1b2:1:enable=gt(mod(n\\,2)\\,0),metadata@ratea1b2=print:a1b2:1,metadata=select:a1b2:0,metadata=add:a1b2:0,metadata@gate=modify:a1b2:1:enable=0,metadata@sheda1b2=print:a1b2:1,metadata=select:a1b2:0,showinfo@a1b2=',
    );
  });

  it('makes the same picture of frames and looks, and looks of any decoded frame', () => {
    const views = [
      { left: 0, top: 0, right: 0.5, bottom: 1 },
      { left: 0.5, top: 0, right: 1, bottom: 1 },
    ];
    const args = decodeArguments(FILE, { ...PLAN, takesCommands: true, every: 2, canvas: { ...PLAN.canvas, views } });
    const [split, taken, seen, keys] = graph(args).split(/;(?=\[(?:taken|seen|keys)\])/);
    expect([split, keys]).toEqual([
      '[0:v:0]split=3[taken][seen][keys]',
      String.raw`[keys]select=outputs=2:expr=if(key\,1+ld(0)+0*st(0\,1)\,st(0\,0))[k0][k1];[k0]showinfo@keya1b2=checksum=0,nullsink;[k1]showinfo@nexta1b2=checksum=0,nullsink`,
    ]);
    const picture = /showinfo@\w+=checksum=0,(.*)\[\w+\]$/;
    const plain = (part: string): string => picture.exec(part)![1]!.replaceAll('[look', '[');
    expect(plain(seen!)).toBe(plain(taken!));
    expect(seen).toContain('[seen]metadata@look=add:a1b2:1:enable=not(n),metadata=select:a1b2:1,showinfo@looka1b2=');
    const outputs = args.join(' ').split(' -map ').slice(1);
    expect(outputs.map((output) => [output.split(' ')[0], output.slice(-21)])).toEqual([
      ['[frames]', expect.stringContaining('-f rawvideo pipe:1')],
      ['[looks]', expect.stringContaining('-f rawvideo pipe:4')],
    ]);
  });

  it('skips frames in the decoder, and has the packets counted, only if not all frames are wanted', () => {
    expect(inputPart(FILE, { decode: 'all' })).toBe(inputPart(FILE));
    expect(inputPart(FILE, { decode: 'reference' })).toBe('-threads 1 -skip_frame noref -protocol_whitelist file');
    expect(inputPart(FILE, { decode: 'key' })).toBe(
      '-threads 1 -skip_frame nokey -flags low_delay -protocol_whitelist file',
    );
    const args = decodeArguments(FILE, { ...PLAN, decode: 'key' });
    expect(args.join(' ')).toContain('-progress pipe:2');
    expect(args.slice(args.indexOf('-i') + 2).join(' ')).toMatch(/^-map 0:v:0 -c copy -copyinkf -f null - /);
    expect(args.at(-1)).toBe('pipe:1');
    for (const plan of [{}, { decode: 'all' }] as const)
      expect(decodeArguments(FILE, { ...PLAN, ...plan }).join(' ')).not.toMatch(/-progress|copy/);
  });

  it('decodes all frames of a test picture, and counts no packets beyond the end of a window', () => {
    const picture = source('synthetic', 'testsrc2');
    expect(decodeArguments(picture, { ...PLAN, decode: 'key' })).toEqual(decodeArguments(picture, PLAN));
    const window = { fromUs: null, toUs: 2_000_000, firstFrame: 0 };
    const args = decodeArguments({ ...FILE, window }, { ...PLAN, decode: 'key' }).join(' ');
    expect(args).toContain('-skip_frame nokey');
    expect(args).not.toContain('-progress');
  });

  it.each([
    ['a file', FILE, {}, '-threads 1 -protocol_whitelist file'],
    [
      'a file in real time',
      source('file', 'file:/a', { realtime: true }),
      {},
      '-threads 1 -re -protocol_whitelist file',
    ],
    [
      'a looped file',
      source('file', 'file:/a', { loop: true }),
      {},
      '-threads 1 -stream_loop -1 -protocol_whitelist file',
    ],
    [
      'a playlist, which cannot be looped',
      source('http', 'https://a/b', { loop: true }),
      {},
      '-threads 1 -protocol_whitelist http,tcp,crypto -rw_timeout 5000000',
    ],
    [
      'a camera',
      source('rtsp', 'rtsp://a/b'),
      {},
      '-threads 1 -protocol_whitelist tcp -rtsp_transport tcp -flags low_delay -analyzeduration 500000 -fpsprobesize 0 -timeout 5000000',
    ],
    [
      'a camera over UDP, with an old ffmpeg',
      source('rtsp', 'rtsp://a/b', { rtspTransport: 'udp' }),
      { ffmpegMajor: 4 },
      '-threads 1 -protocol_whitelist tcp,udp,rtp -rtsp_transport udp -flags low_delay -analyzeduration 500000 -fpsprobesize 0 -stimeout 5000000',
    ],
    [
      'an endless feed, which already arrives in real time',
      { ...source('http', 'http://a/live', { realtime: true }), isLive: true },
      {},
      '-threads 1 -protocol_whitelist http,tcp,crypto -rw_timeout 5000000 -analyzeduration 500000 -fpsprobesize 0',
    ],
    [
      'a recording on a server, played like a camera',
      { ...source('http', 'http://a/b.mp4?x=1', { realtime: true }), isLive: true },
      {},
      '-threads 1 -re -protocol_whitelist http,tcp,crypto -rw_timeout 5000000',
    ],
    [
      'a live playlist, whose segments would arrive in bursts',
      { ...source('http', 'http://a/b.m3u8'), isLive: true },
      {},
      '-threads 1 -re -protocol_whitelist http,tcp,crypto -rw_timeout 5000000',
    ],
    ['a graph', source('synthetic', 'testsrc2'), {}, '-threads 1 -f lavfi'],
    [
      'threads chosen by ffmpeg, on a GPU',
      FILE,
      { threads: 0, hwaccel: 'cuda' },
      '-hwaccel cuda -protocol_whitelist file',
    ],
  ] as const)('opens %s', (_, input, plan, expected) => {
    expect(inputPart(input, plan)).toBe(expected);
  });

  it('asks a proxy for everything that a web server leads to', () => {
    const input = { ...source('http', 'http://a/b.m3u8'), proxyUrl: 'http://127.0.0.1:9' };
    expect(inputPart(input)).toContain('-http_proxy http://127.0.0.1:9');
  });

  it.each([
    ['a file', FILE, false],
    ['a web server', source('http', 'http://a/b.m3u8'), true],
    ['a camera', source('rtsp', 'rtsp://a/b'), false],
  ] as const)('allows no format that names other files: %s', (_, input, mayBePlaylist) => {
    const args = decodeArguments(input, PLAN);
    const formats = args[args.indexOf('-format_whitelist') + 1]!.split(',');
    expect(formats).toEqual(expect.arrayContaining(['mov', 'matroska', 'mpegts', 'h264', 'mjpeg']));
    for (const format of [
      'concat',
      'dash',
      'sdp',
      'image2',
      'imf',
      'tty',
      'lavfi',
      'vobsub',
      'avisynth',
      'webm_dash_manifest',
    ])
      expect(formats).not.toContain(format);
    expect(formats.includes('hls')).toBe(mayBePlaylist);
  });

  it.skipIf(process.platform !== 'linux')('opens a device through Video4Linux (Linux only)', () => {
    expect(inputPart(source('device', '/dev/video0'))).toBe('-threads 1 -f v4l2 -fflags nobuffer');
  });

  it('passes frames through with the option of this ffmpeg version', () => {
    expect(decodeArguments(FILE, { ...PLAN, ffmpegMajor: 5 }).join(' ')).toContain('-vsync passthrough');
    expect(decodeArguments(FILE, { ...PLAN, ffmpegMajor: 6 }).join(' ')).toContain('-fps_mode passthrough');
  });

  it('applies every, then maxFps, before frames are counted, beside a branch that shows progress', () => {
    expect(filters({ every: 3, maxFps: 5 })).toMatch(
      /^split\[pulse\]\[all\];\[pulse\]select=.*,showinfo@pulse.*,nullsink;\[all\]select=not\(mod\(n\\,3\)\),select=isnan\(t\)\+.*,showinfo@/,
    );
  });

  it('counts every and maxFps from the frame at afterUs, without that frame', () => {
    expect(filters({ every: 3, maxFps: 5, afterUs: 2_000_000 })).toMatch(
      /;\[all\]select=gte\(t\\,1\.9999995\),select=not\(mod\(n\\,3\)\),select=isnan.*,select=gt\(t\\,2\.0000005\),showinfo@/,
    );
  });

  it('letterboxes with the anchor and the padding value of the model', () => {
    const fit = { mode: 'letterbox', anchor: 'top-left', padValue: 114 } as const;
    expect(filters({ canvas: { width: 640, height: 384, fit } })).toContain(
      'format=rgb24,pad=w=640:h=384:x=0:y=0:color=0x727272,setsar=1',
    );
    const centred = { mode: 'letterbox', anchor: 'center', padValue: 0 } as const;
    expect(filters({ canvas: { width: 640, height: 384, fit: centred } })).toContain(
      'x=floor((ow-iw)/2):y=floor((oh-ih)/2):color=0x000000',
    );
  });
});

describe('views', () => {
  const canvas = { width: 8, height: 8, fit: { mode: 'stretch' } } as const;
  const inputFilters = 'scale=w=8:h=8:flags=bilinear,format=yuv420p,format=rgb24,setsar=1';
  const whole = { left: 0, top: 0, right: 1, bottom: 1 };

  it('cut a region out behind the frame header, which states the size of the source', () => {
    const views = [{ left: 0.25, top: 0, right: 0.75, bottom: 1 }];
    expect(filters({ canvas: { ...canvas, views } })).toBe(
      'showinfo@a1b2=checksum=0,' +
        'crop=w=min(iw\\,2*ceil(iw*0.750000/2-0.000001))-2*floor(iw*0.250000/2+0.000001)' +
        ':h=ih-2*floor(ih*0.000000/2+0.000001)' +
        ':x=2*floor(iw*0.250000/2+0.000001):y=2*floor(ih*0.000000/2+0.000001):exact=1,' +
        inputFilters,
    );
  });

  it('are stacked in their order, and the whole picture is not cut', () => {
    const views = [{ ...whole, right: 0.5 }, whole];
    expect(filters({ canvas: { ...canvas, views } })).toMatch(
      new RegExp(
        '^showinfo@a1b2=checksum=0,split=2\\[view0\\]\\[view1\\];' +
          `\\[view0\\]crop=[^,]*\\\\,[^,]*,${inputFilters}\\[input0\\];` +
          `\\[view1\\]${inputFilters}\\[input1\\];` +
          '\\[input0\\]\\[input1\\]vstack=inputs=2$',
      ),
    );
  });

  it('change nothing for a stream without them', () => {
    expect(decodeArguments(FILE, { ...PLAN, canvas: { ...PLAN.canvas, views: undefined } })).toEqual(
      decodeArguments(FILE, PLAN),
    );
    expect(withoutFormats(decodeArguments(FILE, PLAN))).toBe(
      '-hide_banner -nostdin -nostats -loglevel repeat+level+info -threads 1 -protocol_whitelist file -i file:/videos/a b.mp4 ' +
        '-filter:v showinfo@a1b2=checksum=0,scale=w=512:h=512:flags=bilinear,format=yuv420p,format=rgb24,setsar=1 ' +
        '-map 0:v:0 -map_metadata -1 -map_chapters -1 -fps_mode passthrough -an -sn -dn -filter_threads 1 -threads 1 ' +
        '-f rawvideo pipe:1',
    );
  });
});

describe('a window of a file', () => {
  const within = (window: SourceWindow, every = 1): { input: string; filters: string } => {
    const args = decodeArguments({ ...FILE, window }, { ...PLAN, every });
    const input = withoutFormats(args.slice(args.indexOf('repeat+level+info') + 1, args.indexOf('-i')));
    return { input, filters: args[args.indexOf('-filter:v') + 1]! };
  };

  it('begins at its first frame, with the timestamps of the whole file', () => {
    const { input, filters: list } = within({ fromUs: 33_366_667, toUs: 40_000_001, firstFrame: 1000 });
    expect(input).toContain('-ss 33.366667 -copyts -start_at_zero');
    expect(list).toMatch(/^trim=end=40\.000001,showinfo@/);
  });

  it('from the start to a key frame is read like the whole file up to that frame', () => {
    const { input, filters: list } = within({ fromUs: null, toUs: 5_000_000, firstFrame: 0 });
    expect(input).toBe(inputPart(FILE));
    expect(list).toMatch(/^trim=end=5\.000000,showinfo@/);
  });

  it('that reaches the end of the file sets no end time', () => {
    expect(within({ fromUs: 5_000_000, toUs: null, firstFrame: 125 }).filters).not.toContain('trim');
  });

  it('takes the same every n-th frames as the whole file', () => {
    expect(within({ fromUs: 5_000_000, toUs: null, firstFrame: 125 }, 3).filters).toMatch(
      /\[all\]select=not\(mod\(n\+2\\,3\)\)/,
    );
    expect(within({ fromUs: 5_000_000, toUs: null, firstFrame: 126 }, 3).filters).toMatch(
      /\[all\]select=not\(mod\(n\\,3\)\)/,
    );
  });
});
