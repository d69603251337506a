export interface WaitOptions {
  /** Generous: a condition that comes at all comes far earlier, and two busy cores must not make a test fail. */
  readonly deadlineMs?: number;
  readonly everyMs?: number;
}

/**
 * Asks again and again until `condition` holds.
 *
 * @returns milliseconds that it took.
 * @throws Error that names what was waited for, with what `explain` knows.
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
    if (performance.now() - startedMs > deadlineMs) {
      throw new Error(`waited ${deadlineMs} ms in vain for: ${what}. ${await explain()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** Fails, with a name, when a promise does not settle in time: a hang is a finding and must not eat the whole suite. */
export async function within<T>(what: string, deadlineMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not end within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
