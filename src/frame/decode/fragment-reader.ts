import { SightlineError } from '../../base/errors/sightline-error.ts';

/** A larger box is no fragment of a second of video. */
const MOST_BYTES = 64 * 2 ** 20;
const HEADER_BYTES = 8;
const TFHD = { duration: 0x8, size: 0x10, flags: 0x20, base: 0x1, description: 0x2 } as const;
const TRUN = { offset: 0x1, firstFlags: 0x4, duration: 0x100, size: 0x200, flags: 0x400, cts: 0x800 } as const;
/** `sample_is_non_sync_sample`, ISO/IEC 14496-12, 8.8.3.1. */
const NON_SYNC = 0x1_0000;

/** A box of ISO/IEC 14496-12. */
interface Box {
  readonly type: string;
  /** Of its first byte. */
  readonly at: number;
  readonly end: number;
  /** Where its content begins. */
  readonly body: number;
}

/** One fragment, `moof` and `mdat`. Times are in ticks of the video's timescale, as written. */
export interface ParsedFragment {
  /** It begins with a picture that depends on no other. */
  readonly isKey: boolean;
  /** Decoding time of its first picture, and where the file has it: 8 bytes, big-endian. */
  readonly baseTicks: number;
  readonly baseAt: number;
  /** When its pictures are shown, in the order of decoding. */
  readonly ptsTicks: readonly number[];
  /** Sum of the durations. */
  readonly durationTicks: number;
}

/** Returns the boxes of a stretch of memory. @throws PROTOCOL_INVALID if they do not fill it. */
function boxesIn(bytes: Uint8Array, from = 0, to = bytes.length): Box[] {
  const view = viewOf(bytes);
  const boxes: Box[] = [];
  for (let at = from; at < to; ) {
    if (to - at < HEADER_BYTES) throw malformed(`${to - at} bytes after a box`);
    const size = view.getUint32(at);
    if (size < HEADER_BYTES || size > to - at) throw malformed(`a box of ${size} bytes in ${to - at}`);
    boxes.push({ type: typeAt(bytes, at), at, end: at + size, body: at + HEADER_BYTES });
    at += size;
  }
  return boxes;
}

/** Returns the ticks per second of the only track. @param init - `ftyp` and `moov`. @throws PROTOCOL_INVALID */
export function timescaleOf(init: Uint8Array): number {
  const [mdhd] = find(init, ['moov', 'trak', 'mdia', 'mdhd']);
  if (mdhd === undefined) throw malformed('no mdhd');
  const view = viewOf(init);
  return view.getUint32(mdhd.body + (view.getUint8(mdhd.body) === 1 ? 20 : 12));
}

/** Returns the name of the codec, such as `avc1`. */
export function codecOf(init: Uint8Array): string {
  const [stsd] = find(init, ['moov', 'trak', 'mdia', 'minf', 'stbl', 'stsd']);
  return stsd === undefined ? 'unknown' : typeAt(init, stsd.body + 8);
}

/** A sample entry of video is so long before its boxes, ISO/IEC 14496-12, 12.1.3. */
const ENTRY_BYTES = 86;
const hex = (value: number): string => value.toString(16).padStart(2, '0');
const tens = (value: number): string => String(value).padStart(2, '0');

/** What follows the name of a codec, by the box of its settings. RFC 6381; ISO/IEC 14496-15, E.3; the bindings of VP9 and AV1. */
const PARAMETERS: Readonly<Record<string, (box: Buffer) => string>> = {
  avcC: (box) => box.toString('hex', 1, 4),
  hvcC: (box) => {
    const [profile, level] = [box.readUInt8(1), box.readUInt8(12)];
    const space = ['', 'A', 'B', 'C'][profile >> 6]!;
    const compatible = Number.parseInt(
      box.readUInt32BE(2).toString(2).padStart(32, '0').split('').reverse().join(''),
      2,
    );
    const constraints = [...box.subarray(6, 12)]
      .map(hex)
      .join('.')
      .replace(/(?:\.00)+$/, '');
    return `${space}${profile & 31}.${compatible.toString(16)}.${profile & 32 ? 'H' : 'L'}${level}.${constraints}`;
  },
  vpcC: (box) => [box.readUInt8(4), box.readUInt8(5), box.readUInt8(6) >> 4].map(tens).join('.'),
  av1C: (box) => {
    const [profile, flags] = [box.readUInt8(1), box.readUInt8(2)];
    const bits = flags & 0x40 ? (flags & 0x20 ? 12 : 10) : 8;
    return `${profile >> 5}.${tens(profile & 31)}${flags & 0x80 ? 'H' : 'M'}.${tens(bits)}`;
  },
};

/** Returns the media type of a video as browsers ask for it, such as `video/mp4; codecs="avc1.64001f"`. @param init - `ftyp` and `moov`. */
export function mediaTypeOf(init: Uint8Array): string {
  const [stsd] = find(init, ['moov', 'trak', 'mdia', 'minf', 'stbl', 'stsd']);
  if (stsd === undefined) return 'video/mp4';
  const boxes = boxesIn(init, stsd.body + 8 + ENTRY_BYTES, stsd.end);
  const known = boxes.find(({ type }) => Object.hasOwn(PARAMETERS, type));
  const codec = codecOf(init);
  if (known === undefined) return `video/mp4; codecs="${codec}"`;
  const body = Buffer.from(init.buffer, init.byteOffset + known.body, known.end - known.body);
  return `video/mp4; codecs="${codec}.${PARAMETERS[known.type]!(body)}"`;
}

const HVCC_ARRAYS_AT = 22;
/** NAL unit types of the parameter sets, ITU-T H.265, table 7-1: video, sequence, picture. */
const PARAMETER_SETS = [32, 33, 34];
/** `array_completeness`, ISO/IEC 14496-15, 8.3.2.1.2. */
const COMPLETE = 0x80;

/**
 * Names H.265 as Apple's players need it, `hvc1`, where ffmpeg writes `hev1`, in place; unless the parameter sets are only between the
 * pictures.
 *
 * @param init - `ftyp` and `moov`.
 */
export function nameAsPlayed(init: Uint8Array): void {
  const [stsd] = find(init, ['moov', 'trak', 'mdia', 'minf', 'stbl', 'stsd']);
  if (stsd === undefined || codecOf(init) !== 'hev1') return;
  const settings = boxesIn(init, stsd.body + 8 + ENTRY_BYTES, stsd.end).find(({ type }) => type === 'hvcC');
  if (settings === undefined) return;
  const view = viewOf(init);
  const arrays = new Map<number, number>();
  let at = settings.body + HVCC_ARRAYS_AT;
  for (let left = view.getUint8(at++); left > 0; left--) {
    arrays.set(view.getUint8(at) & 63, at);
    const units = view.getUint16(at + 1);
    at += 3;
    for (let unit = 0; unit < units; unit++) at += 2 + view.getUint16(at);
  }
  if (!PARAMETER_SETS.every((type) => arrays.has(type))) return;
  for (const type of PARAMETER_SETS) init[arrays.get(type)!]! |= COMPLETE;
  init.set(Buffer.from('hvc1'), stsd.body + 12);
}

/** Reads the times of a fragment. @throws PROTOCOL_INVALID, RangeError */
export function parseFragment(bytes: Uint8Array): ParsedFragment {
  const view = viewOf(bytes);
  const [traf, ...others] = find(bytes, ['moof', 'traf']);
  if (traf === undefined || others.length > 0) throw malformed(`${others.length + 1} tracks in a fragment`);
  const parts = boxesIn(bytes, traf.body, traf.end);
  const part = (type: string): Box => {
    const found = parts.find((each) => each.type === type);
    if (found === undefined) throw malformed(`no ${type}`);
    return found;
  };
  const tfhd = part('tfhd');
  const has = view.getUint32(tfhd.body);
  let at = tfhd.body + 8;
  if (has & TFHD.base) at += 8;
  if (has & TFHD.description) at += 4;
  const optional = (bit: number): number => {
    if (!(has & bit)) return 0;
    at += 4;
    return view.getUint32(at - 4);
  };
  const usual = { duration: optional(TFHD.duration), size: optional(TFHD.size), flags: optional(TFHD.flags) };
  const tfdt = part('tfdt');
  if (view.getUint8(tfdt.body) !== 1) throw malformed('a tfdt of 32 bits');
  const baseTicks = Number(view.getBigInt64(tfdt.body + 4));
  const ptsTicks: number[] = [];
  let dts = baseTicks;
  let firstFlags: number | null = null;
  for (const { body } of parts.filter(({ type }) => type === 'trun')) {
    const holds = view.getUint32(body);
    let next = body + 8;
    const read = (bit: number, otherwise: number): number => {
      if (!(holds & bit)) return otherwise;
      next += 4;
      return view.getUint32(next - 4);
    };
    read(TRUN.offset, 0);
    const first = read(TRUN.firstFlags, usual.flags);
    for (let i = view.getUint32(body + 4); i > 0; i--) {
      const duration = read(TRUN.duration, usual.duration);
      read(TRUN.size, usual.size);
      const flags = read(TRUN.flags, ptsTicks.length === 0 ? first : usual.flags);
      firstFlags ??= flags;
      ptsTicks.push(dts + (read(TRUN.cts, 0) | 0));
      dts += duration;
    }
  }
  if (ptsTicks.length === 0) throw malformed('a fragment without pictures');
  const isKey = (firstFlags! & NON_SYNC) === 0;
  return { isKey, baseTicks, baseAt: tfdt.body + 4, ptsTicks, durationTicks: dts - baseTicks };
}

type OnPart = (part: Uint8Array<ArrayBuffer>) => void;

/** Takes fragmented MP4 apart as it comes. Each part has memory of its own, so that it can be handed to another thread. */
export class FragmentReader {
  readonly #onInit: OnPart;
  readonly #onFragment: OnPart;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  /** How many bytes must be there before the next look. */
  #needed = HEADER_BYTES;
  /** Where the next box begins. */
  #at = 0;

  constructor(onInit: OnPart, onFragment: OnPart) {
    this.#onInit = onInit;
    this.#onFragment = onFragment;
  }

  /** @throws PROTOCOL_INVALID if that is no fragmented MP4. */
  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    while (this.#bytes >= this.#needed) this.#look();
  }

  #look(): void {
    const all = new Uint8Array(this.#bytes);
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    this.#chunks = [all];
    const size = viewOf(all).getUint32(this.#at);
    if (size < HEADER_BYTES || size > MOST_BYTES) throw malformed(`a box of ${size} bytes`);
    const end = this.#at + size;
    if (all.length < end) {
      this.#needed = end;
      return;
    }
    const type = typeAt(all, this.#at);
    const isWhole = type === 'moov' || type === 'mdat';
    // What ffmpeg writes at its end, and between fragments.
    const isOther = type !== 'ftyp' && type !== 'moof' && !isWhole;
    this.#at = isWhole || isOther ? 0 : end;
    this.#needed = this.#at + HEADER_BYTES;
    if (!isWhole && !isOther) return;
    this.#chunks = [all.slice(end)];
    this.#bytes = all.length - end;
    if (isWhole) (type === 'moov' ? this.#onInit : this.#onFragment)(all.slice(0, end));
  }
}

/** Boxes at the end of a path. */
function find(bytes: Uint8Array, path: readonly string[]): Box[] {
  return path.reduce<Box[]>(
    (found, type) => found.flatMap(({ body, end }) => boxesIn(bytes, body, end).filter((box) => box.type === type)),
    [{ type: '', at: 0, body: 0, end: bytes.length }],
  );
}

function typeAt(bytes: Uint8Array, at: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at + 4, 4).toString('latin1');
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function malformed(what: string): SightlineError {
  return new SightlineError('PROTOCOL_INVALID', `fragmented MP4: ${what}`);
}
