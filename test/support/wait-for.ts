/** Other work on the machine must not make a test fail: each limit is this many times as long as it says. */
const PATIENCE = 3;

export interface WaitOptions {
  /** On an idle machine; conditions are normally met much earlier. */
  readonly deadlineMs?: number;
  /** Default 20, and up to 100 for what is asked of another process. */
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
  const { deadlineMs = 15_000, everyMs } = options;
  let pauseMs = everyMs ?? 20;
  const startedMs = performance.now();
  for (;;) {
    const isMet = condition();
    if (await isMet) return performance.now() - startedMs;
    if (performance.now() - startedMs > PATIENCE * deadlineMs) {
      throw new Error(`timed out after ${PATIENCE * deadlineMs} ms waiting for: ${what}. ${await explain()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    if (everyMs === undefined && isMet instanceof Promise) pauseMs = Math.min(1.25 * pauseMs, 100);
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
