import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RtspReplies } from '../../../../src/frame/source/open/rtsp-replies.ts';

const OURS = 'rtsp://127.0.0.1:9/cam';

function replace(bytes: Buffer, ...cuts: readonly number[]): { out: string; seen: string[] } {
  const seen: string[] = [];
  const replies = new RtspReplies((url) => {
    seen.push(url);
    return OURS;
  });
  const at = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
  const out = Buffer.concat(at.slice(1).map((end, i) => replies.push(bytes.subarray(at[i], end))));
  return { out: out.toString('latin1'), seen };
}

const MOVED = 'RTSP/1.0 302 Moved\r\nCSeq: 2\r\nLocation: rtsp://10.0.0.1/cam\r\n\r\n';

describe('RtspReplies', () => {
  it('replaces the address of a redirect, however the bytes arrive', () => {
    const bytes = Buffer.from(MOVED);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 8 }), (cuts) => {
        expect(replace(bytes, ...cuts)).toEqual({
          out: MOVED.replace('rtsp://10.0.0.1/cam', OURS),
          seen: ['rtsp://10.0.0.1/cam'],
        });
      }),
    );
  });

  it.each([
    ['line feeds alone', MOVED.replaceAll('\r', '')],
    ['small letters', MOVED.replace('Location: ', 'location:')],
    ['a carriage return in the name', MOVED.replace('Location', 'Lo\rcation')],
    ['a packet before the line', MOVED.replace('Location', '$\x00\x00\x03a\nbLocation')],
    ['a body before the message', `RTSP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nv=0${MOVED}`],
    ['a packet of 258 bytes', `$\x00\x01\x02${'\n'.repeat(258)}Location: rtsp://10.0.0.1/cam\r\n\r\n`],
    ['a packet before the message', `$\x01\x00\x02\n\n${MOVED}`],
  ])('finds it with %s', (_, text) => {
    expect(replace(Buffer.from(text, 'latin1')).seen).toEqual(['rtsp://10.0.0.1/cam']);
  });

  it.each([
    ['a body', 'RTSP/1.0 200 OK\r\nContent-Length: 18\r\n\r\nLocation: rtsp://a'],
    ['a packet', '$\x00\x00\x0aLocation:\n'],
    ['another header', 'RTSP/1.0 200 OK\r\nContent-Location: rtsp://a/\r\n\r\n'],
  ])('leaves %s alone', (_, text) => {
    expect(replace(Buffer.from(text, 'latin1'))).toEqual({ out: text, seen: [] });
  });

  it.each([
    ['a line without end', Buffer.alloc(100_000, 'a')],
    ['a body of a gigabyte', Buffer.from('RTSP/1.0 200 OK\r\nContent-Length: 1000000000\r\n\r\n')],
    ['a body of negative length', Buffer.from('RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n')],
  ])('refuses %s', (_, bytes) => expect(() => replace(bytes)).toThrow(RangeError));
});
