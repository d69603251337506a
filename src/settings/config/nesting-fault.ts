/** Lists and sections within each other. No setting and no request needs a dozen. */
const MOST_LEVELS = 64;

/**
 * Looks for values that whoever walks them by recursion could not end: they contain themselves, as an anchor of YAML can, or are
 * nested too deeply. Takes one step for each value, however often others refer to it.
 *
 * @param value - as a parser of JSON or YAML gives it.
 * @returns what is wrong, as the end of a sentence; null if nothing is.
 */
export function nestingFault(value: unknown): string | null {
  const heights = new Map<object, number>();
  const open = new Set<object>();
  /** Levels from a value down. */
  const heightOf = (each: unknown, level: number): number => {
    if (typeof each !== 'object' || each === null) return 0;
    if (open.has(each)) throw new NestingFault('something that contains itself');
    let height = heights.get(each);
    if (height === undefined && level <= MOST_LEVELS) {
      open.add(each);
      height = 1;
      for (const part of Object.values(each)) height = Math.max(height, 1 + heightOf(part, level + 1));
      open.delete(each);
      heights.set(each, height);
    }
    if (height === undefined || level + height - 1 > MOST_LEVELS)
      throw new NestingFault(`more than ${MOST_LEVELS} lists and sections within each other`);
    return height;
  };
  try {
    heightOf(value, 1);
    return null;
  } catch (error) {
    if (error instanceof NestingFault) return error.message;
    throw error;
  }
}

/** Thrown within this file only. */
class NestingFault extends Error {}
