/** One coded picture of H.264. */
export interface CodedFrame {
  readonly isKey: boolean;
  /** NAL units without start codes; parameter sets precede a key frame. */
  readonly units: readonly Buffer[];
}

const HEADER_BYTES = 9;
const TAG_HEADER_BYTES = 11;
const LENGTH_BYTES = 4;
const VIDEO_TAG = 9;
const KEY_FRAME = 1;
const AVC = 7;

/**
 * Reads H.264 pictures from FLV (Adobe, Video File Format Specification 10.1, E.4). FLV states the length of each picture
 * in front of it, so that a picture is complete with its last byte: a raw H.264 stream shows that only with the next one.
 */
export class FlvReader {
  #rest: Buffer = Buffer.alloc(0);
  #skip = HEADER_BYTES + LENGTH_BYTES;
  #parameterSets: Buffer[] = [];

  /** Takes the next bytes. @returns the pictures that they complete. */
  push(chunk: Buffer): CodedFrame[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: CodedFrame[] = [];
    for (;;) {
      if (this.#skip > 0) {
        if (this.#rest.length < this.#skip) return frames;
        this.#rest = this.#rest.subarray(this.#skip);
        this.#skip = 0;
      }
      if (this.#rest.length < TAG_HEADER_BYTES) return frames;
      const size = this.#rest.readUIntBE(1, 3);
      const bytes = TAG_HEADER_BYTES + size + LENGTH_BYTES;
      if (this.#rest.length < bytes) return frames;
      const body = this.#rest.subarray(TAG_HEADER_BYTES, TAG_HEADER_BYTES + size);
      const frame = this.#rest[0] === VIDEO_TAG ? this.#readVideo(body) : null;
      if (frame !== null) frames.push(frame);
      this.#rest = this.#rest.subarray(bytes);
    }
  }

  #readVideo(body: Buffer): CodedFrame | null {
    if (body.length < 5 || (body[0]! & 0x0f) !== AVC) return null;
    const data = body.subarray(5);
    if (body[1] === 0) this.#parameterSets = parameterSetsOf(data);
    if (body[1] !== 1) return null;
    const isKey = body[0]! >> 4 === KEY_FRAME;
    const units = lengthPrefixed(data);
    return { isKey, units: isKey ? [...this.#parameterSets, ...units] : units };
  }
}

/** SPS and PPS of an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1). */
function parameterSetsOf(record: Buffer): Buffer[] {
  const sets: Buffer[] = [];
  let at = 5;
  for (const mask of [0x1f, 0xff]) {
    const count = record[at]! & mask;
    at += 1;
    for (let i = 0; i < count; i++) {
      const length = record.readUInt16BE(at);
      sets.push(Buffer.from(record.subarray(at + 2, at + 2 + length)));
      at += 2 + length;
    }
  }
  return sets;
}

/** Copies the units, so that the read buffer can be released. */
function lengthPrefixed(data: Buffer): Buffer[] {
  const units: Buffer[] = [];
  for (let at = 0; at + 4 <= data.length; ) {
    const length = data.readUInt32BE(at);
    units.push(Buffer.from(data.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return units;
}
