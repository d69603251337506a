import { expect, it } from 'vitest';
import { pushFailure } from '../../../../src/after/recording/restream.ts';
import { parseSource } from '../../../../src/frame/source/parse-source.ts';

const HEADER = 'Could not write header for output file #0 (incorrect codec parameters ?):';
const INVALID = `${HEADER} Invalid data found when processing input`;
const END = 'Error initializing output stream 0:0 -- \n';
const NO_VIDEO = /: the server takes no video: it ended the connection, redirects, .* as RT[SM]P servers do/;

/** What ffmpeg 4.4 printed when it pushed to servers that do this. */
it.each([
  ['rtsp', 'ends, sends garbage, redirects or refuses SETUP', `${INVALID}\n${END}`, NO_VIDEO, null],
  [
    'rtmp',
    'ends before the handshake',
    '[rtmp @ 0x55] Cannot read RTMP handshake response\nrtmp://127.0.0.1:35519/live/a: End of file',
    NO_VIDEO,
    '[rtmp @ 0x55] Cannot read RTMP handshake response',
  ],
  [
    'rtsp',
    'answers 404',
    `[rtsp @ 0x56] method ANNOUNCE failed: 404 Not Found\n${HEADER} Server returned 404 Not Found\n${END}`,
    /: the media server has no such path/,
    '[rtsp @ 0x56] method ANNOUNCE failed: 404 Not Found',
  ],
  [
    'rtsp',
    'answers 406',
    `[rtsp @ 0x56] method ANNOUNCE failed: 406 Not Acceptable\n${HEADER} Server returned 4XX Client Error, but not one of 40{0,1,3,4}\n${END}`,
    /: the server answers with an error/,
    '[rtsp @ 0x56] method ANNOUNCE failed: 406 Not Acceptable',
  ],
])('a push by %s to a server that %s says so', (scheme, _, log, cause, reason) => {
  const given = parseSource(`${scheme}://bob:hunter2@media:99/live/a`, {
    loop: false,
    realtime: false,
    rtspTransport: 'tcp',
    readTimeoutMs: 1000,
  });
  const { message } = pushFailure(log, { ...given, url: `${scheme}://127.0.0.1:35519/live/a` }, false);
  expect(message).toMatch(cause);
  expect(message.startsWith(`${scheme}://***@media:99/live/a: `)).toBe(true);
  expect(message).not.toMatch(/hunter2|35519/);
  expect(/\(ffmpeg: (.*)\)$/.exec(message)?.[1] ?? null).toBe(reason);
});

it('a server that goes away while it takes video is said to have ended the connection', () => {
  const given = parseSource('rtmp://bob:hunter2@media/live/a', {
    loop: false,
    realtime: false,
    rtspTransport: 'tcp',
    readTimeoutMs: 1000,
  });
  const url = 'rtmp://127.0.0.1:35519/live/a';
  const log = `av_interleaved_write_frame(): Broken pipe\nError writing trailer of ${url}: Broken pipe`;
  const { code, message } = pushFailure(log, { ...given, url }, true);
  expect([code, message]).toEqual([
    'SOURCE_UNREACHABLE',
    'rtmp://***@media/live/a: the server ended the connection (ffmpeg: av_interleaved_write_frame(): Broken pipe)',
  ]);
});
