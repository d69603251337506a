import { gzipSync } from 'node:zlib';

/** Packs files like npm: ustar headers, gzip. Follows the POSIX layout; for tests only. */
export function packTarball(files: Readonly<Record<string, Uint8Array>>): Buffer {
  const blocks = Object.entries(files).flatMap(([path, bytes]) => entry(path, '0', bytes));
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}

/** One header and its body, padded to whole blocks. */
export function entry(path: string, type: string, bytes: Uint8Array, prefix = '', linkTarget = ''): Buffer[] {
  const header = Buffer.alloc(512);
  header.write(path, 0, 100);
  header.write('0000644\0', 100);
  header.write(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write(type, 156);
  header.write(linkTarget, 157, 100);
  header.write('ustar\x0000', 257);
  header.write(prefix, 345, 155);
  // The checksum is the sum of all bytes of the header, with spaces in its own field.
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const body = Buffer.alloc(Math.ceil(bytes.length / 512) * 512);
  body.set(bytes);
  return [header, body];
}
