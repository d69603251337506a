import { describe, expect, it } from 'vitest';
import { explainExit, FfmpegLog, type LogEvent } from '../../../../src/frame/decode/ffmpeg-log.ts';

const TAG = '0123456789abcdef0123456789abcdef';

/** Reads lines in order; lines without an event are left out. */
function read(...lines: string[]): LogEvent[] {
  const log = new FfmpegLog('file:/videos/a.mp4', TAG);
  return lines.map((line) => log.read(line)).filter((event) => event !== null);
}

const P = `[showinfo@${TAG} @ 0x55b1f6dda680] [info]`;

it('the header of a look is no frame, has its own number, and the time base of the frames', () => {
  const look = `[showinfo@look${TAG} @ 0x55b1f6dda680] [info]`;
  const line = (n: number, pts: number) =>
    `n:   ${n} pts:   ${pts} pts_time:0.08    pos:    27571 fmt:yuv420p sar:4/3 s:320x240 i:P`;
  const read_ = read(
    `${P} config in time_base: 1/25000, frame_rate: 25/2`,
    `${look} config in time_base: 1/25000, frame_rate: 25/2`,
    `${P} ${line(0, 0)}`,
    `${look} ${line(7, 2000)}`,
    `${P} ${line(1, 4000)}`,
  );
  const size = { width: 427, height: 240, stored: { width: 320, pixelAspect: 4 / 3 } };
  expect(read_).toEqual([
    { kind: 'frame', frame: { ptsUs: 0, ...size } },
    { kind: 'look', frame: { ptsUs: 80_000, ...size } },
    { kind: 'frame', frame: { ptsUs: 160_000, ...size } },
  ]);
});

it('a key frame is said whether or not it is taken, and has no number among those that are', () => {
  const line = (mark: string, n: number, pts: number) =>
    `[showinfo@${mark}${TAG} @ 0x55b1f6dda680] [info] n:   ${n} pts:   ${pts} pts_time:0.08 fmt:yuv420p sar:1/1 s:320x240 i:P iskey:1 type:I`;
  const config = `${P} config in time_base: 1/25000, frame_rate: 25/2`;
  expect(read(config, line('key', 0, 2000), line('next', 0, 3000), line('', 0, 4000))).toMatchObject([
    { kind: 'key', ptsUs: 80_000, isNext: false },
    { kind: 'key', ptsUs: 120_000, isNext: true },
    { kind: 'frame', frame: { ptsUs: 160_000 } },
  ]);
});

describe('what ffmpeg has read', () => {
  const block = (packets: number, time: string, state: string): string[] =>
    `frame=${packets}\nfps=0.00\nstream_1_0_q=-0.0\nbitrate=N/A\ntotal_size=N/A\nout_time_us=${time}\nout_time=N/A\nspeed=1x\nprogress=${state}`.split(
      '\n',
    );

  it('is stated after each block of -progress', () => {
    expect(read(...block(12, '440000', 'continue'), ...block(90, 'N/A', 'end'))).toEqual([
      { kind: 'read', packets: 12, untilUs: 440_000, isEnd: false },
      { kind: 'read', packets: 90, untilUs: null, isEnd: true },
    ]);
  });

  it('may be printed in the middle of a line about a frame, which is lost otherwise', () => {
    const [first, ...others] = block(12, '440000', 'continue');
    const frame = 'n:   0 pts:      2 pts_time:2       pos:       48 fmt:yuv420p sar:1/1 s:320x240 i:P iskey:1 type:I';
    const start = { kind: 'read', packets: 12, untilUs: 440_000, isEnd: false };
    const header = { kind: 'frame', frame: { ptsUs: 2000, width: 320, height: 240, isKey: true } };
    const mark = `[showinfo@${TAG} @ 0x55b1f6dda680] `;
    expect(read(`${mark}${first}`, ...others, `[info] ${frame}`)).toEqual([start, header]);
    expect(read(`${mark}[info] ${first}`, ...others, frame)).toEqual([start, header]);
  });

  it('cannot be forged to swallow a line about a frame', () => {
    const frame = `${P} n:   0 pts:      2 pts_time:2       pos:       48 fmt:yuv420p sar:1/1 s:320x240 i:P`;
    expect(read('[info]     title           : [showinfo@guess @ 0x1] frame=5', frame)).toMatchObject([
      { kind: 'frame' },
    ]);
  });
});

describe('the header of a frame', () => {
  // Real output of each version for the same clip, 432x768 after rotation.
  it.each([
    ['4.1', `${P} n:   0 pts:   2000 pts_time:0.08    pos:    27571 fmt:yuv420p sar:0/1 s:432x768 i:P iskey:0 type:P `],
    ['5.1', `${P} n:   0 pts:   2000 pts_time:0.08    pos:    27571 fmt:yuv420p sar:0/1 s:432x768 i:P iskey:0 type:P `],
    [
      '9.0',
      `${P} n:   0 pts:   2000 pts_time:0.08    duration:   2000 duration_time:0.08    fmt:yuv420p cl:left sar:0/1 s:432x768 i:P iskey:0 type:P `,
    ],
    [
      '5.1 with checksums',
      `${P} n:   0 pts:   2000 pts_time:0.08    pos:    27571 fmt:yuv420p sar:0/1 s:432x768 i:P iskey:0 type:P checksum:0A0B0C0D plane_checksum:[0A0B0C0D 0A0B0C0D 0A0B0C0D] mean:[40 128 128] stdev:[29.9 0.0 0.0]`,
    ],
    [
      'on Windows, where pointers have no 0x',
      `[showinfo@${TAG} @ 000001e1c28afb40] [info] n:   0 pts:   2000 pts_time:0.08    pos:    27571 fmt:yuv420p sar:0/1 s:432x768 i:P iskey:0 type:P `,
    ],
  ])('of ffmpeg %s is read', (_, line) => {
    expect(read(`${P} config in time_base: 1/25000, frame_rate: 25/2`, line)).toEqual([
      { kind: 'frame', frame: { ptsUs: 80_000, width: 432, height: 768 } },
    ]);
  });

  it.each([
    ['4/3', '320x240', 427, 240],
    ['3/4', '320x240', 240, 240],
    ['64/45', '720x576', 1024, 576],
    ['1/1', '321x181', 321, 181],
    ['0/1', '321x181', 321, 181],
    ['1/1000', '2x2', 1, 2],
  ])('widens or narrows by the sample aspect ratio: %s at %s', (sar, size, width, height) => {
    expect(
      read(`${P} n:   0 pts:      0 pts_time:0       pos:       48 fmt:yuv420p sar:${sar} s:${size} i:P`),
    ).toMatchObject([{ kind: 'frame', frame: { ptsUs: 0, width, height } }]);
  });

  it('states the stored columns where pixels are not square, and only there', () => {
    const line = (sar: string) =>
      `${P} n:   0 pts:      0 pts_time:0       pos:       48 fmt:yuv420p sar:${sar} s:320x240 i:P`;
    expect(read(line('4/3'))).toEqual([
      {
        kind: 'frame',
        frame: { ptsUs: 0, width: 427, height: 240, stored: { width: 320, pixelAspect: 4 / 3 } },
      },
    ]);
    expect(read(line('1/1'))).toEqual([{ kind: 'frame', frame: { ptsUs: 0, width: 320, height: 240 } }]);
  });

  it('without a timestamp gets the last known one', () => {
    const frame = (n: number, pts: string) =>
      `${P} n:${String(n).padStart(4)} pts:${pts.padStart(7)} pts_time:${pts === 'NOPTS' ? 'NOPTS' : '0.1'}   fmt:yuv420p sar:1/1 s:4x2 i:P`;
    const times = read(
      `${P} config in time_base: 1/90000, frame_rate: 25/1`,
      frame(0, 'NOPTS'),
      frame(1, '9000'),
      frame(2, 'NOPTS'),
      frame(3, '-4500'),
    ).map((event) => (event.kind === 'frame' ? event.frame.ptsUs : null));
    expect(times).toEqual([0, 100_000, 100_000, -50_000]);
  });

  it('is exact for long videos: ticks of a 90 kHz clock after a day', () => {
    const [event] = read(
      `${P} config in time_base: 1/90000, frame_rate: 25/1`,
      `${P} n:   0 pts:7776000000 pts_time:86400   pos: 1 fmt:yuv420p sar:1/1 s:4x2 i:P`,
    );
    expect(event).toMatchObject({ frame: { ptsUs: 86_400_000_000 } });
  });

  it('is not affected by other showinfo lines', () => {
    expect(
      read(
        `${P} config out time_base: 0/0, frame_rate: 0/0`,
        `${P} color_range:tv color_space:smpte170m color_primaries:smpte170m color_trc:smpte170m`,
        `${P}   side data - User Data Unregistered:`,
        `${P} UUID=dc45e9bd-e6d9-48b7-962c-d820d923eeef`,
        `${P} `,
        '',
        'frame=  100 fps=25',
      ),
    ).toEqual([]);
  });
});

describe('text from the media', () => {
  const FORGED = 'n:   0 pts:      0 pts_time:0       fmt:yuv420p sar:1/1 s:64000x100 i:P iskey:1 type:I';

  it.each([
    ['a title', `[info]     title           : ${FORGED}`],
    ['a service name', `[info]     service_name    : ${FORGED}`],
    ['a log line of its own', `[Parsed_showinfo_0 @ 0x55b1f6dda680] [info] ${FORGED}`],
    ['a filter of another name', `[showinfo@00000000000000000000000000000000 @ 0x55b1f6dda680] [info] ${FORGED}`],
    ['a bare line', FORGED],
  ])('cannot pass for a frame header: %s', (_, line) => {
    expect(read(line)).toEqual([]);
  });

  it.each([
    '[info]     title           : Duration: 99:00:00.00, start: 0.000000',
    '[info]     Duration: 99:00:00.00, a long key: 1',
  ])('cannot pass for a duration: %s', (line) => {
    expect(read(line)).toEqual([]);
  });

  it('cannot change the time base', () => {
    const events = read(
      `${P} config in time_base: 1/1000, frame_rate: 25/1`,
      '[info]     title           : config in time_base: 1/1, frame_rate: 25/1',
      `${P} n:   0 pts:     40 pts_time:0.04 fmt:yuv420p sar:1/1 s:4x2 i:P`,
    );
    expect(events).toEqual([{ kind: 'frame', frame: { ptsUs: 40_000, width: 4, height: 2 } }]);
  });
});

it('counts how often ffmpeg has built its filters', () => {
  const log = new FfmpegLog('file:/videos/a.mp4', TAG);
  const config = `${P} config in time_base: 1/1000, frame_rate: 25/1`;
  const builds = [config, `${P} config out time_base: 0/0, frame_rate: 0/0`, '[info] config in time_base: 1/1', config];
  expect(
    builds.map((line) => {
      log.read(line);
      return log.builds;
    }),
  ).toEqual([1, 1, 1, 2]);
});

it('a frame that is left out shows that frames are decoded, and is told from others', () => {
  const line = (name: string, text: string): string => `[metadata@${name}${TAG} @ 0x55b1f6dda680] [info] ${text}`;
  const printed = [line('rate', 'frame:1    pts:40      pts_time:0.04'), line('rate', `${TAG}=1`)];
  expect(read(...printed, '[metadata@rate0 @ 0x55b1f6dda680] [info] frame:1    pts:40')).toEqual([
    { kind: 'left-out' },
  ]);
});

describe('the number of a header', () => {
  const frame = (n: number): string =>
    `${P} n:${String(n).padStart(4)} pts:      0 pts_time:0 fmt:yuv420p sar:1/1 s:4x2 i:P`;
  const config = `${P} config in time_base: 1/1000, frame_rate: 25/1`;
  const kinds = (...lines: string[]): string[] => read(...lines).map(({ kind }) => kind);

  it('increases by one, and restarts at 0 in a new filter graph', () => {
    expect(kinds(config, frame(0), frame(1), config, frame(0), frame(1))).toEqual(['frame', 'frame', 'frame', 'frame']);
  });

  it.each([
    ['a header is missing', [frame(0), frame(2)]],
    ['the first is missing', [frame(1)]],
    ['one is duplicated', [frame(0), frame(0)]],
  ])('is out of step if %s', (_, lines) => {
    expect(kinds(config, ...lines).at(-1)).toBe('out-of-step');
  });
});

describe('the duration', () => {
  it.each([
    ['[info]   Duration: 00:00:03.04, start: 0.000000, bitrate: 1060 kb/s', 3_040_000],
    ['[info]   Duration: 27:46:40.50, start: 1.400000, bitrate: 1 kb/s', 100_000_500_000],
  ])('%s', (line, durationUs) => {
    expect(read(line)).toEqual([{ kind: 'duration', durationUs }]);
  });

  it('of a live stream is unknown', () => {
    expect(read('[info]   Duration: N/A, start: 0.000000, bitrate: N/A')).toEqual([]);
  });
});

describe('classification of error lines', () => {
  it.each([
    ['decode-error', '[h264 @ 0x1a85fb80] [error] out of range intra chroma pred mode'],
    ['decode-error', '[h264 @ 0x1a85fb80] [error] error while decoding MB 12 3, bytestream -7'],
    ['decode-error', '[h264 @ 0x1a85fb80] [warning] concealing 99 DC, 99 AC, 99 MV errors in P frame'],
    ['decode-error', '[mpegts @ 0x562a6e550900] [warning] Packet corrupt (stream = 0, dts = 478800).'],
    ['decode-error', '[vist#0:0/h264 @ 0x558419f89940] [dec:h264 @ 0x55841a017680] [warning] corrupt decoded frame'],
    ['truncated', '[mov,mp4,m4a,3gp,3g2,mj2 @ 0x560aa6035900] [error] stream 0, offset 0xdeed4: partial file'],
    ['problem', '[mov,mp4,m4a,3gp,3g2,mj2 @ 0x562a6e550900] [error] moov atom not found'],
    ['problem', '[error] file:/videos/a.mp4: Invalid data found when processing input'],
    ['problem', "[fatal] Stream map '0:v:0' matches no streams."],
    ['hwaccel', '[AVHWDeviceContext @ 0x30f59d80] [error] No VA display found for device: .'],
    [
      'hwaccel',
      '[h264 @ 0x55d7a9f81600] [error] No device available for decoder: device type cuda needed for codec h264.',
    ],
    ['hwaccel', "[AVFilterGraph @ 0x5580] [error] No such filter: 'scale_cuda'"],
    ['hwaccel', '[Parsed_scale_cuda_3 @ 0x5581] [error] No hw context provided on input'],
    ['hwaccel', '[error] Device setup failed for decoder on input stream #0:0 : Operation not permitted'],
  ])('%s: %s', (kind, line) => {
    expect(read(line).map((event) => event.kind)).toEqual([kind]);
  });

  it('ignores a harmless warning', () => {
    expect(read('[swscaler @ 0x1] [warning] deprecated pixel format used')).toEqual([]);
  });

  it.each(['corrupt.mp4', 'truncated.mp4', 'reference/a.mp4', 'cuda.mp4'])(
    'ignores words in the name of the source (%s)',
    (name) => {
      const log = new FfmpegLog(`file:/videos/${name}`, TAG);
      expect(log.read(`[error] file:/videos/${name}: No such file or directory`)).toEqual({
        kind: 'problem',
        text: 'the source: No such file or directory',
      });
    },
  );

  it('does not repeat a URL with a password', () => {
    const url = 'rtsp://admin:secret@cam/live';
    expect(new FfmpegLog(url, TAG).read(`[error] ${url}: Connection refused`)).toEqual({
      kind: 'problem',
      text: 'the source: Connection refused',
    });
  });
});

describe('explainExit', () => {
  it.each([
    ["Stream map '0:v:0' matches no streams.", 'SOURCE_NO_VIDEO'],
    ['Output file #0 does not contain any stream', 'SOURCE_NO_VIDEO'],
    ['method DESCRIBE failed: 401 Unauthorized', 'SOURCE_UNAUTHORIZED'],
    ['Server returned 401 Unauthorized (authorization failed)', 'SOURCE_UNAUTHORIZED'],
    ['HTTP error 403 Forbidden', 'SOURCE_UNAUTHORIZED'],
    ['HTTP error 404 Not Found', 'SOURCE_UNREACHABLE'],
    ['method DESCRIBE failed: 404 Not Found', 'SOURCE_UNREACHABLE'],
    ['Server returned 5XX Server Error reply', 'SOURCE_UNREACHABLE'],
    ['Connection to tcp://10.0.0.9:554?timeout=5000000 failed: Connection refused', 'SOURCE_UNREACHABLE'],
    ['rtsp://cam: Connection timed out', 'SOURCE_UNREACHABLE'],
    ['Failed to resolve hostname cam: Name or service not known', 'SOURCE_UNREACHABLE'],
    ['the source: No such file or directory', 'SOURCE_NOT_FOUND'],
    ['the source: Permission denied', 'SOURCE_UNREADABLE'],
    ['moov atom not found', 'SOURCE_UNREADABLE'],
    ['the source: Invalid data found when processing input', 'SOURCE_UNREADABLE'],
    ['Unrecognized option: nonsense', 'SOURCE_UNREADABLE'],
    ['something never heard of', 'DECODE_EXITED'],
  ])('%s -> %s', (line, code) => {
    expect(explainExit([line])).toMatchObject({ code, said: line });
  });

  it.each([
    ['method DESCRIBE failed: 404 Not Found', 'the camera has no such path'],
    ['method DESCRIBE failed: 404 Stream Not Found', 'the camera has no such path'],
    ['method SETUP failed: 503 Service Unavailable', 'the server answers with an error'],
    ['HTTP error 404 Not Found', 'the server has nothing at this address'],
    ['Server returned 404 Not Found', 'the server has nothing at this address'],
    ['Server returned 5XX Server Error reply', 'the server answers with an error'],
    ['rtsp://cam: Connection timed out', 'the server does not answer'],
  ])('%s: %s', (line, cause) => {
    expect(explainExit([line, 'Error opening input: Input/output error'])).toMatchObject({
      code: 'SOURCE_UNREACHABLE',
      cause,
    });
  });

  it('quotes the last line even if an earlier one gives the cause', () => {
    expect(explainExit(['moov atom not found', 'Error opening input files: Invalid data found'])).toEqual({
      code: 'SOURCE_UNREADABLE',
      cause: 'it is not a video, or its index (moov atom) is missing',
      said: 'Error opening input files: Invalid data found',
    });
  });

  it('reports no cause if ffmpeg printed nothing', () => {
    expect(explainExit([])).toEqual({ code: 'DECODE_EXITED', cause: 'ffmpeg ended early', said: 'nothing' });
  });

  it.each(['clip 401', 'take 403', '404'])('does not take a number for an HTTP status: %s', (name) => {
    expect(explainExit([`/videos/${name}.mp4: Invalid data found when processing input`]).code).toBe(
      'SOURCE_UNREADABLE',
    );
  });
});

describe('a frame that was shed', () => {
  const S = `[metadata@shed${TAG} @ 0x55c3aea2e700] [info]`;

  it('is one event, for the first of the two lines about it', () => {
    expect(read(`${S} frame:24   pts:27027   pts_time:0.9009`, `${S} ${TAG}=1`)).toEqual([{ kind: 'shed' }]);
  });

  it('cannot be imitated by text of the media', () => {
    expect(read('[info]     title: [metadata@shed @ 0x1] [info] frame:24   pts:1', '[info] frame:24   pts:1')).toEqual(
      [],
    );
  });
});

describe('a line that an answer to a command cuts in two (ffmpeg 7)', () => {
  const ANSWER = [
    'Enter command: <target>|all <time>|-1 <command>[ <argument>]',
    '',
    'Command reply for stream 0: ret:0 res:',
    '',
  ];
  const BODY =
    'n:   0 pts:   7625 pts_time:7.625   duration:      1 fmt:yuv420p cl:left sar:1/1 s:32x32 i:P iskey:1 type:I ';
  const HEADER = [{ kind: 'frame', frame: { ptsUs: 7_625_000, width: 32, height: 32, isKey: true } }];

  it.each([
    ['after its name', [`[showinfo@${TAG} @ 0x7f1a94004e80] `, ...ANSWER, `[info] ${BODY}`]],
    ['after its level', [`[showinfo@${TAG} @ 0x7f1a94004e80] [info] `, ...ANSWER, BODY]],
    ['while other parts of ffmpeg log', [`${P} `, '[h264 @ 0x5] [error] corrupt', ANSWER[0]!, '', BODY]],
  ])('is a header all the same: %s', (_, lines) => {
    expect(read(...lines).filter(({ kind }) => kind === 'frame')).toEqual(HEADER);
  });

  it('still counts as a shed frame', () => {
    const name = `[metadata@shed${TAG} @ 0x7f1a94004540] `;
    expect(read(name, ...ANSWER, '[info] frame:7625 pts:7625    pts_time:7.625')).toEqual([{ kind: 'shed' }]);
  });

  it('is forgotten if the next header is whole', () => {
    expect(read(`[showinfo@${TAG} @ 0x7f1a94004e80] `, `${P} ${BODY}`)).toEqual(HEADER);
  });
});
