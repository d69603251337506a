/**
 * A minimal Matroska writer, to pipe raw pictures with timestamps to ffmpeg. Raw formats carry no timestamps, and a
 * constant rate would be wrong for a source with a variable one. Element ids: RFC 9559.
 */

const UNKNOWN_SIZE = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
/** One tick is a microsecond. */
const TIMESTAMP_SCALE_NS = 1000;
/** FourCC of packed 8-bit red, green, blue: `RGB` and the number of bits. */
const RGB24 = [0x52, 0x47, 0x42, 24];
const VIDEO_TRACK = 1;

/** Returns the start of the file, with one track of uncompressed rgb24 pictures. */
export function matroskaHeader(width: number, height: number): Uint8Array {
  const ebml = element(0x1a45dfa3, [
    ...element(0x4286, unsigned(1)),
    ...element(0x42f7, unsigned(1)),
    ...element(0x42f2, unsigned(4)),
    ...element(0x42f3, unsigned(8)),
    ...element(0x4282, ascii('matroska')),
    ...element(0x4287, unsigned(4)),
    ...element(0x4285, unsigned(2)),
  ]);
  const info = element(0x1549a966, [
    ...element(0x2ad7b1, unsigned(TIMESTAMP_SCALE_NS)),
    ...element(0x4d80, ascii('sightline')),
    ...element(0x5741, ascii('sightline')),
  ]);
  const video = element(0xe0, [
    ...element(0xb0, unsigned(width)),
    ...element(0xba, unsigned(height)),
    ...element(0x2eb524, RGB24),
  ]);
  const track = element(0xae, [
    ...element(0xd7, unsigned(VIDEO_TRACK)),
    ...element(0x73c5, unsigned(1)),
    ...element(0x83, unsigned(1)),
    ...element(0x9c, unsigned(0)),
    ...element(0x86, ascii('V_UNCOMPRESSED')),
    ...video,
  ]);
  return Uint8Array.from([...ebml, ...idBytes(0x18538067), ...UNKNOWN_SIZE, ...info, ...element(0x1654ae6b, track)]);
}

/**
 * Returns the bytes before a picture. Each picture has its own cluster, so that its time is absolute.
 *
 * @param pictureBytes - length of the pixels that follow.
 */
export function pictureHeader(timeUs: number, pictureBytes: number): Uint8Array {
  // Track number as a one-byte length-coded integer, time relative to the cluster (0), flags: a key frame.
  const block = [0x80 | VIDEO_TRACK, 0, 0, 0x80];
  const blockHead = [...idBytes(0xa3), ...longSize(block.length + pictureBytes), ...block];
  const content = [...element(0xe7, unsigned(timeUs)), ...blockHead];
  return Uint8Array.from([...idBytes(0x1f43b675), ...longSize(content.length + pictureBytes), ...content]);
}

function element(id: number, content: readonly number[]): number[] {
  return [...idBytes(id), ...longSize(content.length), ...content];
}

function idBytes(id: number): number[] {
  return unsigned(id);
}

/** Encodes a size in eight bytes, of which 56 bits hold the value; Matroska allows any length. */
function longSize(bytes: number): number[] {
  const digits = unsigned(bytes);
  return [0x01, ...Array<number>(7 - digits.length).fill(0), ...digits];
}

/** Encodes a number big-endian in as few bytes as possible. Exact up to 2^53. */
function unsigned(value: number): number[] {
  const digits: number[] = [];
  for (let rest = value; rest > 0 || digits.length === 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  return digits;
}

function ascii(text: string): number[] {
  return [...Buffer.from(text, 'ascii')];
}
