/** Steps of Simpson's rule: the error is below 1e-8 for the densities below. */
const STEPS = 400;

/** Distribution function of the standard normal distribution. */
export function normalCdf(x: number): number {
  const density = (t: number): number => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  return 0.5 + Math.sign(x) * integrate(density, Math.min(Math.abs(x), 8));
}

/** Quantile of the standard normal distribution. @param p - above 0 and below 1. */
export function normalQuantile(p: number): number {
  if (!(p > 0 && p < 1)) throw new RangeError(`expected p from above 0 to below 1, received ${p}`);
  let [low, high] = [-8, 8];
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    if (normalCdf(middle) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/**
 * Quantile of Student's t distribution.
 *
 * @param p - 0.5 to below 1.
 * @param df - degrees of freedom, a whole number from 1.
 */
export function studentQuantile(p: number, df: number): number {
  if (!(p >= 0.5 && p < 1 && Number.isInteger(df) && df >= 1))
    throw new RangeError(`expected p from 0.5 to below 1 and df from 1, received ${p} and ${df}`);
  const factor = gammaRatio(df) / Math.sqrt(df * Math.PI);
  // The substitution t = sqrt(df) tan(u) makes the range finite, so that heavy tails are integrated exactly.
  const cdf = (t: number): number =>
    0.5 + factor * Math.sqrt(df) * integrate((u) => Math.cos(u) ** (df - 1), Math.atan(t / Math.sqrt(df)));
  let low = 0;
  let high = 1;
  while (cdf(high) < p) high *= 2;
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2;
    if (cdf(middle) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Gamma((n + 1) / 2) / Gamma(n / 2), by its recurrence over n. */
function gammaRatio(n: number): number {
  let ratio = n % 2 === 1 ? 1 / Math.sqrt(Math.PI) : Math.sqrt(Math.PI) / 2;
  for (let k = n % 2 === 1 ? 1 : 2; k < n; k += 2) ratio *= (k + 1) / k;
  return ratio;
}

/** Integrates a function from 0 to `to` by Simpson's rule. */
function integrate(f: (x: number) => number, to: number): number {
  const h = to / STEPS;
  let sum = f(0) + f(to);
  for (let i = 1; i < STEPS; i++) sum += (i % 2 === 1 ? 4 : 2) * f(i * h);
  return (sum * h) / 3;
}
