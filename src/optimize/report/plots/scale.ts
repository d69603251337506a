/** Maps values to pixels, with round values for the axis. */
export interface Scale {
  readonly ticks: readonly number[];
  at(value: number): number;
}

export interface ScaleRange {
  /** Pixels of the lowest and the highest value. */
  readonly from: number;
  readonly to: number;
  /** Most ticks. */
  readonly most: number;
}

/** From low to high, both widened to round numbers. */
export function linearScale(low: number, high: number, { from, to, most }: ScaleRange): Scale {
  const span = high - low || Math.abs(high) || 1;
  const step = roundStep(span / Math.max(1, most - 1));
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => cleaned((first + i) * step));
  const [bottom, top] = [ticks[0]!, ticks.at(-1)!];
  return { ticks, at: (value) => from + ((value - bottom) / (top - bottom)) * (to - from) };
}

/** Logarithmic: equal distances are equal ratios. Both ends must be above 0; they are widened to 1, 2 or 5 times a power of ten. */
export function logScale(low: number, high: number, { from, to, most }: ScaleRange): Scale {
  const all: number[] = [];
  for (let power = Math.floor(Math.log10(low)) - 1; power <= Math.ceil(Math.log10(high)) + 1; power++)
    for (const digit of [1, 2, 5]) all.push(cleaned(digit * 10 ** power));
  const first = all.findLastIndex((tick) => tick <= low * (1 + 1e-9));
  const last = Math.max(
    first + 1,
    all.findIndex((tick) => tick >= high * (1 - 1e-9)),
  );
  const inside = all.slice(first, last + 1);
  const [bottom, top] = [inside[0]!, inside.at(-1)!];
  const powers = inside.filter((tick) => Number.isInteger(cleaned(Math.log10(tick))));
  const ticks = inside.length <= most || powers.length < 2 ? inside : powers;
  return {
    ticks,
    at: (value) => from + (Math.log(Math.max(value, bottom) / bottom) / Math.log(top / bottom)) * (to - from),
  };
}

/** The next of 1, 2, 2.5, 5 times a power of ten. */
function roundStep(raw: number): number {
  const power = 10 ** Math.floor(Math.log10(raw));
  const digit = [1, 2, 2.5, 5, 10].find((candidate) => candidate * power >= raw * (1 - 1e-9))!;
  return digit * power;
}

/** Removes what binary fractions add to sums: 0.30000000000000004. */
function cleaned(value: number): number {
  return Number(value.toPrecision(12));
}

/** A tick as text: 0.05, 20, 1,000, with at least this many decimals. */
export function tickText(value: number, decimals = 0): string {
  return value
    .toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: 6 })
    .replace('-', '\u2212');
}
