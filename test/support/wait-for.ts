/** Other work on the machine must not make a test fail: each limit is this many times as long as it says. */
const PATIENCE = 3;

export interface WaitOptions {
  /** On an idle machine; conditions are normally met much earlier. */
  readonly deadlineMs?: number;
  readonly everyMs?: number;
}

/**
 * Polls until `condition` holds.
 *
 * @returns the elapsed milliseconds.
 * @throws Error with `what` and the text of `explain`.
 */
export async function waitFor(
  what: string,
  condition: () => boolean | Promise<boolean>,
  options: WaitOptions = {},
  explain: () => string | Promise<string> = () => '',
): Promise<number> {
  const { deadlineMs = 15_000, everyMs = 20 } = options;
  const startedMs = performance.now();
  for (;;) {
    if (await condition()) return performance.now() - startedMs;
    if (performance.now() - startedMs > PATIENCE * deadlineMs) {
      throw new Error(`timed out after ${PATIENCE * deadlineMs} ms waiting for: ${what}. ${await explain()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** Rejects if a promise does not settle in time, so that a hang fails one test and does not block the suite. */
export async function within<T>(what: string, deadlineMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`${what} did not end within ${PATIENCE * deadlineMs} ms`)),
      PATIENCE * deadlineMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
