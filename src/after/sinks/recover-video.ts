import { open, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { keepRecovered, partialPathOf } from './output-names.ts';

/** The header of a file is about 1 KB; the first fragment or cluster follows it directly. */
const HEAD_BYTES = 64 * 1024;
/** Markers of pictures: the MP4 boxes that hold them, fragmented or not, and the id of a Matroska cluster. */
const PICTURE_MARKS = [Buffer.from('moof'), Buffer.from('mdat'), Buffer.from([0x1f, 0x43, 0xb6, 0x75])];

/**
 * Recovers the video of a crashed run. A partial file with pictures, playable up to its last fragment, is kept as
 * `NAME.recovered-N.EXT`; one without pictures is removed, and so are unfinished copies. Call it only while holding the
 * lock of the video. Never rejects: if something is wrong with the folder, opening the new video fails.
 */
export async function recoverVideo(id: string, path: string, onNotice: (text: string) => void): Promise<void> {
  try {
    await removeCopies(path);
    const partialPath = partialPathOf(path);
    if (!(await hasPictures(partialPath))) return await rm(partialPath, { force: true });
    const kept = await keepRecovered(path, partialPath);
    onNotice(`sink ${id}: an unfinished video is kept in ${kept}`);
  } catch {
    // The folder does not exist or is not writable.
  }
}

async function removeCopies(path: string): Promise<void> {
  const folder = dirname(path);
  const name = basename(path);
  for (const entry of await readdir(folder)) {
    const isCopy = entry.startsWith(`${name}.`) && /^[0-9a-f]{8}\.tmp$/.test(entry.slice(name.length + 1));
    if (isCopy) await rm(join(folder, entry), { force: true });
  }
}

async function hasPictures(path: string): Promise<boolean> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (file === null) return false;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    const head = buffer.subarray(0, bytesRead);
    return bytesRead === HEAD_BYTES || PICTURE_MARKS.some((mark) => head.includes(mark));
  } finally {
    await file.close();
  }
}
