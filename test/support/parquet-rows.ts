import { readFileSync } from 'node:fs';
import { parquetReadObjects } from 'hyparquet';

/** Reads a Parquet file with another implementation than the one that writes it. */
export async function parquetRows(path: string): Promise<Readonly<Record<string, unknown>>[]> {
  const { buffer, byteOffset, byteLength } = readFileSync(path);
  return parquetReadObjects({ file: buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer });
}
