/** How numbers are written in a report: three significant digits, units after a no-break space, a true minus. */

const SPACE = '\u00a0';
const MINUS = '\u2212';
/** What stands for a figure that is not known. */
export const DASH = '–';

function known<T>(text: (value: T) => string): (value: T | null | undefined) => string {
  return (value) => (value == null ? DASH : text(value));
}

/**
 * Whole from 100 on, one decimal from 10 on, two below, two significant digits below 0.1; thousands separated: 0.041, 0.90, 4.56,
 * 78.9, 1,234. Whole numbers stay whole. A dash for what is no number.
 */
export function amount(value: number): string {
  if (!Number.isFinite(value)) return DASH;
  const size = Math.abs(value);
  const decimals = Number.isInteger(value)
    ? 0
    : size >= 99.95
      ? 0
      : size >= 9.995
        ? 1
        : size >= 0.1
          ? 2
          : Math.min(6, 1 - Math.floor(Math.log10(size)));
  const text = size.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  return value < 0 ? `${MINUS}${text}` : text;
}

/** Rounded to a whole number, thousands separated. */
export const whole = known((value: number) => Math.round(value).toLocaleString('en-US').replace('-', MINUS));

export const fps = known((value: number) => `${amount(value)}${SPACE}frames/s`);

export const ms = known((value: number) => `${amount(value)}${SPACE}ms`);

export const joules = known((value: number) => `${amount(value)}${SPACE}J`);

/** A share from 0 to 1 as per cent, with one decimal below 10. */
export const percent = known((ratio: number) => {
  const value = ratio * 100;
  const tenths = Math.round(value * 10) / 10;
  const text =
    Math.abs(value) < 9.95 && !Number.isInteger(tenths) ? tenths.toFixed(1).replace('-', MINUS) : whole(value);
  return `${text}${SPACE}%`;
});

/** A ratio where there is little room: `×1.75`. */
export const factor = known((ratio: number) => `×${amount(ratio)}`);

/** `1.20 to 1.31`. */
export const interval = known(
  ([low, high]: readonly [number, number]) => `${amount(low)}${SPACE}to${SPACE}${amount(high)}`,
);

/** A measured value in the unit of its target, `p99<=50ms`. */
export function targetValue(target: string, value: number): string {
  if (target.endsWith('%')) return percent(value);
  if (/\d\s*m?s$/.test(target)) return ms(value);
  return target.startsWith('fps') ? fps(value) : amount(value);
}

/** AP, F1 and their losses, from 0 to 1: three decimals, which is a tenth of a point. */
export const score = known((value: number) =>
  value
    .toFixed(3)
    .replace(/^-/, MINUS)
    .replace(/^\u2212(0\.000)$/, '$1'),
);

/** A change that may go either way: `+0.004`, `−0.012`. */
export function signedScore(value: number): string {
  const text = score(value);
  return text.startsWith(MINUS) || text === '0.000' ? text : `+${text}`;
}

/** The change of a score, which is the opposite of its loss. */
export const change = known((loss: number) => signedScore(-loss));

/** The interval of a change, by that of the loss. */
export function changeInterval([low, high]: readonly [number, number], space = ' '): string {
  return `${change(high)}${space}to${space}${change(low)}`;
}

export const megabytes = known((bytes: number) => `${whole(bytes / 1e6)}${SPACE}MB`);

/** 45 s, 12 min 30 s, 1 h 05 min. */
export function duration(seconds: number): string {
  const rounded = Math.round(seconds);
  const [h, min, s] = [Math.floor(rounded / 3600), Math.floor((rounded % 3600) / 60), rounded % 60];
  if (h > 0) return `${h}${SPACE}h ${min}${SPACE}min`;
  if (min > 0) return s === 0 ? `${min}${SPACE}min` : `${min}${SPACE}min ${s}${SPACE}s`;
  return `${seconds < 10 ? amount(seconds) : s}${SPACE}s`;
}

/** `1 camera`, `12 cameras`. */
export function counted(count: number, noun: string): string {
  return `${whole(count)}${SPACE}${noun}${count === 1 ? '' : 's'}`;
}

/** `6 cameras meet the targets`, as far as a search for their number has proven it. */
export function capacityText(cameras: number, isProven: boolean): string {
  const [meet, they] = cameras === 1 ? ['meets', 'it meets'] : ['meet', 'they meet'];
  const held = isProven ? `${meet} the targets` : `missed no target, but it is not proven that ${they} all`;
  return `${counted(cameras, 'camera')} ${held}`;
}

/** The middle of some numbers; NaN if there are none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
