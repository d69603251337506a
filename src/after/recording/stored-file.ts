import { basename, dirname, resolve } from 'node:path';
import { type GivenFile, openGiven, readGiven } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';

/** Folder of a stream's clips, with their pictures and boxes. */
export const CLIPS = 'clips';
/** Names of recordings: when they begin and end, kind, why packets are missing before, labels. */
export const NAME = /^(\d{1,15})-(\d{1,15})-(continuous|events)(?:-([a-z-]+))?(?:=([\w~+=]*))?\.mp4$/;
/** While they are written. */
export const PART = /^(\d{1,15})-(continuous|events)(?:-([a-z-]+))?\.part\.mp4$/;

/** A recording has as many bytes as the disk lets it. */
const MOST_VIDEO_BYTES = Number.POSITIVE_INFINITY;

/**
 * How a file is opened that lies in the folder of recordings, `STREAM/NAME` or `STREAM/clips/NAME`. Others may write there, and whoever
 * sees one stream asks for its files over HTTP: a link would show them any file of the host.
 *
 * @throws RECORDING_DAMAGED, with `details.problem` of `given-file`: `missing` if it was deleted meanwhile.
 */
function stored(path: string, mostBytes: number): GivenFile & { noLinksBelow: string } {
  const name = basename(path);
  const folder = dirname(resolve(path));
  const isClip = basename(folder) === CLIPS && !NAME.test(name) && !PART.test(name);
  return { code: 'RECORDING_DAMAGED', mostBytes, noLinksBelow: dirname(isClip ? dirname(folder) : folder) };
}

/** Opens a video of the folder of recordings. The caller closes it. @throws as `stored` */
export function openStored(path: string, access?: 'read' | 'write'): ReturnType<typeof openGiven> {
  return openGiven(resolve(path), stored(path, MOST_VIDEO_BYTES), access);
}

/** Reads a picture, or boxes, of the folder of recordings. @throws as `stored` */
export function readStored(path: string, mostBytes: number): Promise<Buffer> {
  return readGiven(resolve(path), stored(path, mostBytes));
}

/** Names a file of the folder of recordings for those who are not to know where that is. */
function shownName(path: string): string {
  const folder = dirname(path);
  const [, startMs] = /^(\d{1,15})-/.exec(basename(path)) ?? [];
  const isClip = basename(folder) === CLIPS;
  const when = startMs === undefined ? '' : ` from ${new Date(Number(startMs)).toISOString()}`;
  if (isClip) return `the clip of stream "${basename(dirname(folder))}"${when}`;
  return when === '' ? 'the folder of recordings' : `the recording of stream "${basename(folder)}"${when}`;
}

/** Returns an error about a file of the folder of recordings without its path; any other as it is. */
export function withoutPath(error: SightlineError): SightlineError {
  if (error.code !== 'RECORDING_DAMAGED') return error;
  const { path, folder, ...details } = error.details;
  const place = path ?? folder;
  if (typeof place !== 'string') return error;
  return new SightlineError(error.code, error.message.replaceAll(place, shownName(place)), details, { cause: error });
}
