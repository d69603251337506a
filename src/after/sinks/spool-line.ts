import zlib from 'node:zlib';

/** A result that waits, with its place in the order. */
export interface SpoolRecord {
  /** Increases by at least one from record to record. */
  seq: number;
  /** A line of JSON without its line break. */
  readonly text: string;
  /** Called when it is on the disk, sent, or counted as lost. */
  onKept?: (() => void) | undefined;
}

const CRC_DIGITS = 8;
/** Node.js has it since 20.15 and 22.2; the types of Node.js 20 do not. */
const { crc32: nativeCrc32 } = zlib as { readonly crc32?: (bytes: Uint8Array) => number };

/** What the lines of a spool file begin with: see `LineKind`. */
export const SPOOL_LINES = { firstCharacters: '0123456789abcdef', isWhole: (line: string) => parseLine(line) !== null };

/** Returns a record as a line of a spool file, with its line break: checksum, number, JSON. */
export function formatLine({ seq, text }: SpoolRecord): string {
  const checked = `${seq} ${text}`;
  return `${checksum(checked)} ${checked}\n`;
}

/** Returns null if the line, without its line break, is damaged or incomplete. */
export function parseLine(line: string): SpoolRecord | null {
  const checked = line.slice(CRC_DIGITS + 1);
  if (line.slice(0, CRC_DIGITS + 1) !== `${checksum(checked)} `) return null;
  const end = checked.indexOf(' ');
  const seq = Number(checked.slice(0, end));
  return Number.isSafeInteger(seq) && end > 0 ? { seq, text: checked.slice(end + 1) } : null;
}

/** Returns the records of a spool file, and how many lines are damaged. An incomplete last line was never completely written, so it does not count. */
export function parseSpoolFile(content: string): { records: SpoolRecord[]; damaged: number } {
  const lines = content.split('\n');
  lines.pop();
  const records = lines.map(parseLine).filter((record) => record !== null);
  return { records, damaged: lines.length - records.length };
}

/** Returns CRC-32 (ISO 3309, as in gzip) of a text in hexadecimal digits. */
export function checksum(text: string): string {
  return (nativeCrc32 ?? crc32)(Buffer.from(text)).toString(16).padStart(CRC_DIGITS, '0');
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = (rest & 1) === 0 ? rest >>> 1 : (rest >>> 1) ^ 0xedb88320;
  return rest;
});

/** For Node.js without `zlib.crc32`. */
export function crc32(bytes: Uint8Array): number {
  let rest = 0xffffffff;
  for (const byte of bytes) rest = TABLE[(rest ^ byte) & 0xff]! ^ (rest >>> 8);
  return (rest ^ 0xffffffff) >>> 0;
}
