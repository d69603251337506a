import type { CodedFrame } from './flv-reader.ts';

const MAX_PAYLOAD_BYTES = 1_400;
const PAYLOAD_TYPE = 96;
const FU_A = 28;

/** Packs H.264 into RTP for one reader (RFC 6184: single NAL units and FU-A). The last packet of a picture is marked. */
export class RtpWriter {
  #sequence: number;
  readonly #source: number;

  /** @param seed - chooses the first sequence number and the source id. */
  constructor(seed: number) {
    this.#sequence = seed & 0xffff;
    this.#source = seed >>> 0;
  }

  /** @param pts - in ticks of 90 kHz. */
  frame({ units }: CodedFrame, pts: number): Buffer[] {
    return units.flatMap((unit, i) => this.#unit(unit, pts, i === units.length - 1));
  }

  #unit(unit: Buffer, pts: number, isLast: boolean): Buffer[] {
    if (unit.length <= MAX_PAYLOAD_BYTES) return [this.#packet([unit], pts, isLast)];
    const packets: Buffer[] = [];
    const indicator = (unit[0]! & 0xe0) | FU_A;
    for (let at = 1; at < unit.length; at += MAX_PAYLOAD_BYTES) {
      const isEnd = at + MAX_PAYLOAD_BYTES >= unit.length;
      const header = (at === 1 ? 0x80 : 0) | (isEnd ? 0x40 : 0) | (unit[0]! & 0x1f);
      const chunk = unit.subarray(at, at + MAX_PAYLOAD_BYTES);
      packets.push(this.#packet([Buffer.from([indicator, header]), chunk], pts, isLast && isEnd));
    }
    return packets;
  }

  #packet(payload: readonly Buffer[], pts: number, isMarked: boolean): Buffer {
    const head = Buffer.alloc(12);
    head[0] = 0x80;
    head[1] = (isMarked ? 0x80 : 0) | PAYLOAD_TYPE;
    head.writeUInt16BE(this.#sequence, 2);
    head.writeUInt32BE(pts % 2 ** 32, 4);
    head.writeUInt32BE(this.#source, 8);
    this.#sequence = (this.#sequence + 1) & 0xffff;
    return Buffer.concat([head, ...payload]);
  }
}

/** Describes a camera's stream (RFC 8866, RFC 6184 section 8.2.1). */
export function sessionDescription({ units }: CodedFrame, fps: number): string {
  const set = (type: number): Buffer | undefined => units.find((unit) => (unit[0]! & 0x1f) === type);
  const [sps, pps] = [set(7), set(8)];
  if (sps === undefined || pps === undefined) throw new RangeError('the first frame has no parameter sets');
  const sets = `${sps.toString('base64')},${pps.toString('base64')}`;
  return [
    ...['v=0', 'o=- 0 0 IN IP4 127.0.0.1', 's=camera', 'c=IN IP4 0.0.0.0', 't=0 0', 'a=control:*'],
    `m=video 0 RTP/AVP ${PAYLOAD_TYPE}`,
    `a=rtpmap:${PAYLOAD_TYPE} H264/90000`,
    `a=fmtp:${PAYLOAD_TYPE} packetization-mode=1;profile-level-id=${sps.toString('hex', 1, 4)};sprop-parameter-sets=${sets}`,
    ...[`a=framerate:${fps}`, 'a=control:track', ''],
  ].join('\r\n');
}
