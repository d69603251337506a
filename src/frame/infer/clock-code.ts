/**
 * A camera's clock as a bar code over the whole picture: 8 x 4 cells, black for 0 and white for 1, most significant first.
 * 23 bits of time in ticks of 0.1 ms (they repeat after 14 minutes), then 9 bits of checksum. Cells are large, so that the
 * code survives compression and scaling.
 */
const COLUMNS = 8;
const ROWS = 4;
const VALUE_BITS = 23;
const CHECK_BITS = 9;
/** Levels that a cell must differ from medium grey. */
const MIN_CONTRAST = 32;

/** Values repeat after this many ticks. */
export const CLOCK_PERIOD_TICKS = 2 ** VALUE_BITS;
export const TICKS_PER_MS = 10;

/** Fills a grey picture, u8 `[height, width]`, with the code of a time. */
export function drawClock(grey: Uint8Array, width: number, height: number, ticks: number): void {
  const value = Math.floor(ticks) % CLOCK_PERIOD_TICKS;
  const code = value * 2 ** CHECK_BITS + checksum(value);
  for (let row = 0; row < ROWS; row++) {
    const from = Math.ceil((row * height) / ROWS);
    const to = Math.ceil(((row + 1) * height) / ROWS);
    for (let column = 0; column < COLUMNS; column++) {
      const bit = Math.floor(code / 2 ** (31 - row * COLUMNS - column)) % 2;
      const left = Math.ceil((column * width) / COLUMNS);
      const right = Math.ceil(((column + 1) * width) / COLUMNS);
      grey.fill(bit === 1 ? 235 : 16, from * width + left, from * width + right);
    }
    for (let y = from + 1; y < to; y++) grey.copyWithin(y * width, from * width, (from + 1) * width);
  }
}

/**
 * Reads the code from a picture that it fills.
 *
 * @param rgb - u8 `[height, width, 3]`.
 * @returns ticks; null if the picture shows no code, or a damaged one.
 */
export function readClock(rgb: Uint8Array, width: number, height: number): number | null {
  let code = 0;
  for (let cell = 0; cell < COLUMNS * ROWS; cell++) {
    const x = Math.floor((((cell % COLUMNS) + 0.5) * width) / COLUMNS);
    const y = Math.floor(((Math.floor(cell / COLUMNS) + 0.5) * height) / ROWS);
    const level = rgb[(y * width + x) * 3 + 1]!;
    if (Math.abs(level - 128) < MIN_CONTRAST) return null;
    code = code * 2 + (level > 128 ? 1 : 0);
  }
  const value = Math.floor(code / 2 ** CHECK_BITS);
  return code % 2 ** CHECK_BITS === checksum(value) ? value : null;
}

/** The high bits of a multiplicative hash: a wrong bit changes about half of them. All black and all white are invalid. */
function checksum(value: number): number {
  return Math.imul(value + 1, 0x9e3779b1) >>> (32 - CHECK_BITS);
}

/**
 * Packs a time into a score from 0.5 to below 1, which a 32-bit float holds exactly: the one number of a detection that no later
 * stage changes.
 */
export function clockScore(ticks: number): number {
  return 0.5 + ticks / 2 ** (VALUE_BITS + 1);
}

/** The inverse of `clockScore`. */
export function clockTicks(score: number): number {
  return Math.round((score - 0.5) * 2 ** (VALUE_BITS + 1));
}
