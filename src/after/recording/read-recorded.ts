import { SightlineError } from '../../base/errors/sightline-error.ts';
import { Archive, type RecordingFile } from './archive.ts';
import { type ExportedSpan, iso, type RecordedSpan, readSpan } from './recorded-span.ts';
import { recordingsIn } from './spans.ts';

/** Reads a time of a stream, without the file that is being written: it gets another name. @throws as `recordedFiles` */
export async function readRecorded(folder: string, stream: string, span: ExportedSpan): Promise<RecordedSpan> {
  const files = await recordedFiles(folder, stream, span);
  return await readSpan(
    files.filter(({ isOpen }) => !isOpen),
    span,
  );
}

/**
 * Returns the recordings of a stream that overlap a time, in order.
 *
 * @throws COMMAND_INVALID, RECORDING_NOT_FOUND if there are none, with what there is.
 */
export async function recordedFiles(
  folder: string,
  stream: string,
  { fromMs, toMs }: ExportedSpan,
): Promise<RecordingFile[]> {
  requireOrder(fromMs, toMs);
  const archive = await archiveIn(folder);
  requireStream(archive, folder, stream);
  const files = recordingsIn(archive.files, { stream, fromMs, toMs });
  if (files.length > 0) return files;
  const [first, last] = [0, -1].map((i) => recordingsIn(archive.files, { stream }).at(i));
  const there =
    first === undefined ? 'it has clips only' : `its recordings are of ${iso(first.startMs)} to ${iso(last!.endMs)}`;
  throw missing(folder, stream, ` is recorded from ${iso(fromMs)} to ${iso(toMs)}; ${there}`);
}

/** @throws COMMAND_INVALID */
export function requireOrder(fromMs: number, toMs: number): void {
  if (fromMs >= toMs) throw new SightlineError('COMMAND_INVALID', '--from: expected a time before --to');
}

/** @throws RECORDING_NOT_FOUND with the streams that are there. */
export function requireStream({ files }: Archive, folder: string, stream: string): void {
  const known = [...new Set(files.map((file) => file.stream))].sort();
  if (!known.includes(stream)) throw missing(folder, stream, `; it has ${known.join(', ')}`);
}

function missing(folder: string, stream: string, what: string): SightlineError {
  return new SightlineError('RECORDING_NOT_FOUND', `${folder}: nothing of stream "${stream}"${what}`);
}

/** @throws RECORDING_NOT_FOUND if there is none */
export async function archiveIn(folder: string): Promise<Archive> {
  const archive = await Archive.read(folder);
  if (archive.files.length > 0) return archive;
  throw new SightlineError('RECORDING_NOT_FOUND', `${folder}: expected a folder of recordings, found none in it`);
}
