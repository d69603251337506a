/** The progress of a download. */
export interface FetchState {
  /** Name of the download, for messages. */
  readonly what: string;
  /** Bytes that have arrived. */
  readonly doneBytes: number;
  /** Bytes in all; null if that is not known. */
  readonly totalBytes: number | null;
  /** Milliseconds until the end at the mean rate so far; null while there is no estimate. */
  readonly leftMs: number | null;
}

/** @param totalBytes - if the source states it. */
export type OnBytes = (doneBytes: number, totalBytes?: number | null) => void;

/** Time between two lines about one download, where there is no progress bar. */
const LINE_MS = 5_000;

/**
 * Returns a function that counts the bytes of one download and reports its progress.
 *
 * @param totalBytes - as known before; null if it is not.
 * @param clock - milliseconds of any clock; tests replace it.
 */
export function progressTo(
  what: string,
  totalBytes: number | null,
  to: { readonly onProgress?: ((state: FetchState) => void) | undefined; readonly onNotice: (text: string) => void },
  clock: () => number = () => performance.now(),
): OnBytes {
  // The rate counts from the first bytes: before them, npm looks the package up.
  let first: { readonly atMs: number; readonly bytes: number } | null = null;
  let saidMs = clock();
  let most = 0;
  return (seenBytes, stated) => {
    const nowMs = clock();
    // What npm fetches in several files may shrink between two of them.
    const doneBytes = Math.max(most, seenBytes);
    most = doneBytes;
    first ??= { atMs: nowMs, bytes: doneBytes };
    const newBytes = doneBytes - first.bytes;
    const total = stated ?? totalBytes;
    const restBytes = total === null ? null : Math.max(0, total - doneBytes);
    const leftMs = restBytes === null || newBytes === 0 ? null : ((nowMs - first.atMs) / newBytes) * restBytes;
    const state = { what, doneBytes, totalBytes: total, leftMs };
    if (to.onProgress !== undefined) return to.onProgress(state);
    if (nowMs - saidMs < LINE_MS) return;
    saidMs = nowMs;
    to.onNotice(`${what}: ${fetchText(state)}`);
  };
}

/** `12.1 of 28.6 MB, 8 s left` */
export function fetchText({ doneBytes, totalBytes, leftMs }: FetchState): string {
  if (totalBytes === null) return megabytes(doneBytes);
  const left = leftMs === null ? '' : `, ${Math.ceil(leftMs / 1000)} s left`;
  return `${(doneBytes / 1e6).toFixed(1)} of ${megabytes(totalBytes)}${left}`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
