import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RtspClock } from '../../../../src/frame/source/open/rtsp-clock.ts';

const VIDEO = 0xabcd;
const AUDIO = 0x1234;

/** A packet as RFC 2326, 10.12 puts it between messages. */
function interleaved(channel: number, payload: Buffer): Buffer {
  const header = Buffer.from([0x24, channel, 0, 0]);
  header.writeUInt16BE(payload.length, 2);
  return Buffer.concat([header, payload]);
}

function rtp(channel: number, stamp: number, source = VIDEO, bytes = 40): Buffer {
  const packet = Buffer.alloc(bytes, 0x24);
  packet.writeUInt8(0x80, 0);
  packet.writeUInt8(96, 1);
  packet.writeUInt32BE(stamp >>> 0, 4);
  packet.writeUInt32BE(source, 8);
  return interleaved(channel, packet);
}

/** RFC 3550, 6.4.1, with an SDES packet behind it. @param wallMs - since 1970. */
function senderReport(channel: number, wallMs: number, stamp: number, source = VIDEO): Buffer {
  const report = Buffer.alloc(28);
  report.writeUInt8(0x80, 0);
  report.writeUInt8(200, 1);
  report.writeUInt16BE(6, 2);
  report.writeUInt32BE(source, 4);
  // 70 years with 17 leap days lie between 1900 and 1970.
  report.writeUInt32BE(Math.floor(wallMs / 1000) + (70 * 365 + 17) * 86_400, 8);
  report.writeUInt32BE(Math.round(((wallMs % 1000) / 1000) * 2 ** 32), 12);
  report.writeUInt32BE(stamp >>> 0, 16);
  return interleaved(channel, Buffer.concat([report, Buffer.from([0x81, 202, 0, 1, 0, 0, 0, 0])]));
}

const describe200 = (...media: string[]): Buffer => {
  const body = `v=0\r\n${media.map((type) => `m=${type} 0 RTP/AVP 96\r\n`).join('')}`;
  return Buffer.from(`RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
};
const setup200 = (channel: number): Buffer =>
  Buffer.from(
    `RTSP/1.0 200 OK\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP;unicast;interleaved=${channel}-${channel + 1}\r\n\r\n`,
  );
const OPENED = [describe200('video'), setup200(0), Buffer.from('RTSP/1.0 200 OK\r\nCSeq: 4\r\n\r\n')];
const WALL_MS = Date.UTC(2026, 2, 1, 6, 0, 1, 250);

function clockOf(...parts: Buffer[]): RtspClock {
  const clock = new RtspClock();
  for (const part of parts) clock.push(part);
  return clock;
}

describe('the clock of a camera', () => {
  it('keeps no more than 32 media of a camera that describes them without end', () => {
    const video = (at: number): RtspClock => {
      const media = Array.from({ length: at }, () => 'audio');
      const setUps = Array.from({ length: at + 1 }, (_, i) => setup200(2 * i));
      const channel = 2 * at;
      return clockOf(
        ...[describe200(...media, 'video'), ...setUps, rtp(channel, 0), senderReport(channel + 1, WALL_MS, 0)],
      );
    };
    expect(video(31).wallMs(0)).toBeCloseTo(WALL_MS, 3);
    expect(video(32).wallMs(0)).toBeNull();
  });

  it('gives the time of capture by the newest report: 90,000 ticks are a second', () => {
    const clock = clockOf(...OPENED, rtp(0, 1000), rtp(0, 4600), senderReport(1, WALL_MS, 1000), rtp(0, 91_000));
    expect(clock.wallMs(0)).toBeCloseTo(WALL_MS, 3);
    expect(clock.wallMs(40_000)).toBeCloseTo(WALL_MS + 40, 3);
    expect(clock.wallMs(1_000_000)).toBeCloseTo(WALL_MS + 1000, 3);
    clock.push(senderReport(1, WALL_MS + 5010, 451_000));
    expect(clock.wallMs(1_000_000)).toBeCloseTo(WALL_MS + 1010, 3);
  });

  it('gives no time before the first report, and none for a frame that it has not seen', () => {
    const clock = clockOf(...OPENED, rtp(0, 1000));
    expect(clock.wallMs(0)).toBeNull();
    clock.push(senderReport(1, WALL_MS, 1000));
    expect(clock.wallMs(0)).not.toBeNull();
    expect(clock.wallMs(20_000)).toBeNull();
  });

  it('continues when the 32 bits of the stamps overflow, and when frames come out of order', () => {
    const start = 2 ** 32 - 1800;
    const clock = clockOf(
      ...OPENED,
      senderReport(1, WALL_MS, start),
      rtp(0, start),
      rtp(0, start + 7200),
      rtp(0, start + 3600),
    );
    clock.push(senderReport(1, WALL_MS + 100, start + 9000));
    for (const ms of [0, 40, 80]) expect(clock.wallMs(ms * 1000)).toBeCloseTo(WALL_MS + ms, 3);
  });

  it('reads the video of several media, whose times ffmpeg corrects by the reports', () => {
    const clock = clockOf(describe200('audio', 'video'), setup200(0), setup200(4));
    clock.push(
      Buffer.concat([rtp(0, 77, AUDIO), senderReport(1, 5, 77, AUDIO), rtp(4, 1000), senderReport(5, WALL_MS, 1000)]),
    );
    clock.push(rtp(4, 4600));
    expect(clock.wallMs(40_000)).toBeCloseTo(WALL_MS + 40, 3);
    // The camera's ticks are 0.1 % slow: after 10 s of them, 10.01 s have passed.
    clock.push(Buffer.concat([senderReport(5, WALL_MS + 10_010, 901_000), rtp(4, 904_600)]));
    expect(clock.wallMs(10_050_000)).toBeCloseTo(WALL_MS + 10_050, 1);
    expect(clock.wallMs(10_040_000)).toBeNull();
  });

  it('gives no time without a video, and none after another source takes over', () => {
    expect(clockOf(describe200('audio'), setup200(0), rtp(0, 0), senderReport(1, WALL_MS, 0)).wallMs(0)).toBeNull();
    const clock = clockOf(...OPENED, rtp(0, 1000), senderReport(1, WALL_MS, 1000, AUDIO));
    expect(clock.wallMs(0)).toBeNull();
  });

  it('gives the same times however the bytes are divided', () => {
    const all = Buffer.concat([
      ...[...OPENED, rtp(0, 1000, VIDEO, 1400), senderReport(1, WALL_MS, 1000), Buffer.from('RTSP/1.0 200 OK\r\n\r\n')],
      ...[rtp(0, 4600), interleaved(0, Buffer.alloc(0)), rtp(0, 8200, VIDEO, 12)],
    ]);
    fc.assert(
      fc.property(fc.array(fc.nat(all.length)), (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), all.length];
        const clock = clockOf(...at.slice(1).map((to, i) => all.subarray(at[i], to)));
        expect([0, 40_000, 80_000].map((us) => Math.round(clock.wallMs(us)! - WALL_MS))).toEqual([0, 40, 80]);
      }),
    );
  });

  it('survives any bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (parts) => void clockOf(...parts.map(Buffer.from))),
    );
  });
});
