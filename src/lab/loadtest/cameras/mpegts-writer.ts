import type { CodedFrame } from './flv-reader.ts';

const PACKET_BYTES = 188;
const PMT_PID = 0x1000;
const VIDEO_PID = 0x100;
const H264 = 0x1b;
/** The largest length that a PES header can state. */
const MAX_PES_BYTES = 0xffff;
const START_CODE = Buffer.from([0, 0, 0, 1]);
/** Access unit delimiter: any slice type. */
const DELIMITER = Buffer.from([0, 0, 0, 1, 9, 0xf0]);

/**
 * Writes H.264 as MPEG-TS (ISO/IEC 13818-1) for one reader. A picture's length is stated in its PES header if it fits, so
 * that a reader knows the picture to be complete before the next one comes.
 */
export class MpegTsWriter {
  readonly #counters = new Map<number, number>();

  /** @param pts - in ticks of 90 kHz. */
  frame({ units, isKey }: CodedFrame, pts: number): Buffer {
    const packets = isKey ? [this.#section(0, PAT), this.#section(PMT_PID, PMT)] : [];
    const payload = Buffer.concat([DELIMITER, ...units.flatMap((unit) => [START_CODE, unit])]);
    const header = pesHeader(pts, payload.length);
    const pes = Buffer.concat([header, payload]);
    for (let at = 0; at < pes.length; ) {
      const adaptation = at === 0 ? clockField(pts, isKey) : Buffer.alloc(0);
      const room = PACKET_BYTES - 4 - adaptation.length;
      const chunk = pes.subarray(at, at + room);
      packets.push(this.#packet(VIDEO_PID, at === 0, adaptation, chunk));
      at += chunk.length;
    }
    return Buffer.concat(packets);
  }

  #section(pid: number, section: Buffer): Buffer {
    const payload = Buffer.concat([Buffer.from([0]), section]);
    const filled = Buffer.concat([payload, Buffer.alloc(PACKET_BYTES - 4 - payload.length, 0xff)]);
    return this.#packet(pid, true, Buffer.alloc(0), filled);
  }

  #packet(pid: number, isStart: boolean, adaptation: Buffer, payload: Buffer): Buffer {
    const counter = this.#counters.get(pid) ?? 0;
    this.#counters.set(pid, (counter + 1) & 15);
    const missing = PACKET_BYTES - 4 - adaptation.length - payload.length;
    const stuffed = missing > 0 ? stuff(adaptation, missing) : adaptation;
    const control = stuffed.length > 0 ? 0x30 : 0x10;
    const head = Buffer.from([0x47, (isStart ? 0x40 : 0) | (pid >> 8), pid & 0xff, control | counter]);
    return Buffer.concat([head, stuffed, payload]);
  }
}

/** Adaptation field with the clock reference, and a mark where decoding can begin. */
function clockField(pts: number, isKey: boolean): Buffer {
  const field = Buffer.alloc(8);
  field[0] = 7;
  field[1] = (isKey ? 0x40 : 0) | 0x10;
  field.writeUInt32BE(Math.floor(pts / 2), 2);
  field[6] = ((pts & 1) << 7) | 0x7e;
  return field;
}

function stuff(adaptation: Buffer, bytes: number): Buffer {
  if (adaptation.length > 0) {
    const field = Buffer.concat([adaptation, Buffer.alloc(bytes, 0xff)]);
    field[0] = field.length - 1;
    return field;
  }
  const field = Buffer.alloc(bytes, 0xff);
  field[0] = bytes - 1;
  if (bytes > 1) field[1] = 0;
  return field;
}

function pesHeader(pts: number, payloadBytes: number): Buffer {
  const length = payloadBytes + 8;
  const stated = length > MAX_PES_BYTES ? 0 : length;
  const high = Math.floor(pts / 2 ** 30) & 7;
  const middle = Math.floor(pts / 2 ** 15) & 0x7fff;
  const low = pts & 0x7fff;
  return Buffer.from([
    ...[0, 0, 1, 0xe0, stated >> 8, stated & 0xff, 0x84, 0x80, 5],
    ...[0x21 | (high << 1), middle >> 7, ((middle & 0x7f) << 1) | 1, low >> 7, ((low & 0x7f) << 1) | 1],
  ]);
}

const PAT = withChecksum(Buffer.from([0x00, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xe0 | (PMT_PID >> 8), PMT_PID & 0xff]));
const PMT = withChecksum(
  Buffer.from([
    ...[0x02, 0xb0, 18, 0, 1, 0xc1, 0, 0, 0xe0 | (VIDEO_PID >> 8), VIDEO_PID & 0xff, 0xf0, 0],
    ...[H264, 0xe0 | (VIDEO_PID >> 8), VIDEO_PID & 0xff, 0xf0, 0],
  ]),
);

/** Appends the CRC-32 of MPEG-2: polynomial 0x04C11DB7, not reflected. */
function withChecksum(section: Buffer): Buffer {
  let crc = 0xffffffff;
  for (const byte of section) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = (crc << 1) ^ (crc < 0 ? 0x04c11db7 : 0);
  }
  const sum = Buffer.alloc(4);
  sum.writeInt32BE(crc | 0);
  return Buffer.concat([section, sum]);
}
