/**
 * Waits for work, or for a signal.
 *
 * @param undo - what to do with a result that comes after the signal.
 * @throws what the work throws, or the reason of the signal.
 */
export async function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  undo: (result: T) => Promise<unknown>,
): Promise<T> {
  if (signal === undefined) return work;
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([aborted, work]);
  } catch (error) {
    work.then(undo).catch(() => undefined);
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/**
 * Waits for work that uses other programs. A signal to the whole process group also ends these, maybe before it arrives here: what they
 * fail with then is not what went wrong.
 *
 * @throws what the work throws, or the reason of the signal if it was aborted meanwhile.
 */
export async function abortedFirst<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  try {
    return await work;
  } catch (error) {
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
    throw error;
  }
}
