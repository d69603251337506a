import { readlinkSync } from 'node:fs';

/** The kernel's id of the calling thread, by which others can read its CPU time; null where there is no /proc. */
export function threadId(): number | null {
  try {
    return Number(readlinkSync('/proc/thread-self').split('/').at(-1));
  } catch {
    return null;
  }
}
