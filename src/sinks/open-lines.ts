import { type Compression, compressedNothing } from '../disk/compression.ts';
import type { LineTarget } from './append-file.ts';
import { CompressedLineFile } from './compressed-line-file.ts';
import { LineFile, type LineFileOptions } from './line-file.ts';
import type { LineChunk } from './line-writer.ts';
import { diskFiles, type SinkFiles } from './sink-files.ts';

export interface LineKind extends LineFileOptions {
  /** Compressed lines have no header. */
  readonly compression?: Compression | null;
}

/**
 * Each chunk becomes one member, and members shorter than zlib's window of 32 KB compress badly. One stream makes about 15 KB
 * of text a second; a crash loses at most a second.
 */
const COMPRESSED_CHUNK: LineChunk = { chars: 256 * 1024, ms: 1000 };

export function chunkOf({ compression }: LineKind): LineChunk | undefined {
  return compression == null ? undefined : COMPRESSED_CHUNK;
}

/** Returns the size of a file of this kind without lines. */
export function headerBytesOf({ header, compression }: LineKind): number {
  return compression == null ? (header?.length ?? 0) : compressedNothing(compression).length;
}

/** Opens a file of lines and creates it if it is missing. A plain one is continued, and its end repaired; see both kinds. */
export function openLines(path: string, kind: LineKind, files: SinkFiles = diskFiles): Promise<LineTarget> {
  return kind.compression == null
    ? LineFile.open(path, kind, files)
    : CompressedLineFile.open(path, kind.compression, files);
}
