import type { Readable } from 'node:stream';
import { Parser, type ReadEntry } from 'tar';
import { SightlineError } from '../../base/errors/sightline-error.ts';

/**
 * Reads files from the gzipped tar archive of a package, in one pass. Folders and links are ignored, as is
 * every file that is not asked for.
 *
 * @param spec - names the package in messages.
 * @returns the bytes by path.
 * @throws MODEL_WEIGHTS_MISSING if the archive is damaged or lacks a file.
 */
export async function readPackedFiles(
  archive: Readable,
  paths: readonly string[],
  spec: string,
): Promise<Map<string, Uint8Array>> {
  // npm puts all files into one folder named "package".
  const packed = await readEntries(archive, new Set(paths.map((path) => `package/${path}`))).catch((error: Error) => {
    const message = `npm package ${spec}: its archive cannot be read: ${error.message}`;
    throw new SightlineError('MODEL_WEIGHTS_MISSING', message, { source: spec }, { cause: error });
  });
  return new Map(
    paths.map((path) => {
      const bytes = packed.get(`package/${path}`);
      if (bytes !== undefined) return [path, bytes];
      const message = `npm package ${spec}: it has no file ${path}`;
      throw new SightlineError('MODEL_WEIGHTS_MISSING', message, { source: spec });
    }),
  );
}

/** `strict` makes every defect an error; without it a truncated file would be returned as if it were whole. */
function readEntries(archive: Readable, wanted: ReadonlySet<string>): Promise<Map<string, Uint8Array>> {
  return new Promise((resolve, reject) => {
    const found = new Map<string, Uint8Array>();
    const parser = new Parser({
      strict: true,
      // The parser always passes an entry of an archive; `Stats` belongs to packing, which has the same type.
      filter: (path, entry) => wanted.has(path) && isFile(entry as ReadEntry),
      onReadEntry: (entry) => {
        const chunks: Buffer[] = [];
        entry.on('data', (chunk) => chunks.push(chunk));
        entry.on('end', () => found.set(entry.path, new Uint8Array(Buffer.concat(chunks))));
      },
    });
    const fail = (error: Error): void => {
      archive.destroy();
      reject(error);
    };
    parser.on('error', fail);
    parser.on('end', () => resolve(found));
    archive.on('error', fail);
    archive.pipe(parser);
  });
}

function isFile({ type }: ReadEntry): boolean {
  return type === 'File' || type === 'OldFile';
}
