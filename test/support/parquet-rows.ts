import { readFileSync } from 'node:fs';
import { parquetMetadata, parquetReadObjects, type SchemaElement } from 'hyparquet';

/** Reads a Parquet file with another implementation than the one that writes it. */
export async function parquetRows(path: string): Promise<Readonly<Record<string, unknown>>[]> {
  return parquetReadObjects({ file: bytesOf(path) });
}

/** What a Parquet file says of one of its columns. */
export function parquetColumn(path: string, name: string): SchemaElement | undefined {
  return parquetMetadata(bytesOf(path)).schema.find((element) => element.name === name);
}

function bytesOf(path: string): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = readFileSync(path);
  return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
}
