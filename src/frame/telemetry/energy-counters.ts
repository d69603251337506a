import { readFileSync } from 'node:fs';

/** Energy that a domain has used, up to a maximum at which it starts from 0 again. */
interface EnergyCounter {
  readonly path: string;
  readonly usedUj: number;
  readonly maxUj: number;
}

/** RAPL domains that may be read: usually by root only. */
export type EnergyCounters = readonly EnergyCounter[];

/** Reads a system file; null if it does not exist. */
export type ReadFile = (path: string) => string | null;

const POWERCAP = '/sys/class/powercap';
const MOST_DOMAINS = 64;

/**
 * Reads the domains `package` and `dram`. The others are parts of a package (core, uncore), or hold everything once more (psys).
 */
export function readEnergy(read: ReadFile = readOrNull): EnergyCounters | null {
  const counters: EnergyCounter[] = [];
  const add = (path: string, wanted: RegExp): boolean => {
    const name = read(`${path}/name`)?.trim();
    if (name === undefined) return false;
    const usedUj = wholeNumber(read(`${path}/energy_uj`));
    const maxUj = wholeNumber(read(`${path}/max_energy_range_uj`));
    if (wanted.test(name) && usedUj !== null && maxUj !== null) counters.push({ path, usedUj, maxUj });
    return true;
  };
  for (let i = 0; i < MOST_DOMAINS && add(`${POWERCAP}/intel-rapl:${i}`, /^package/); i++)
    for (let k = 0; k < MOST_DOMAINS && add(`${POWERCAP}/intel-rapl:${i}:${k}`, /^dram$/); k++);
  return counters.length === 0 ? null : counters;
}

/** Watts of all domains between two readings. Null unless the same domains were read twice: a part of the energy would look like all of it. */
export function cpuPowerW(before: EnergyCounters | null, after: EnergyCounters | null, seconds: number): number | null {
  if (before === null || after === null || before.length !== after.length) return null;
  let uj = 0;
  for (const [i, { path, usedUj, maxUj }] of after.entries()) {
    const first = before[i]!;
    if (first.path !== path) return null;
    uj += usedUj - first.usedUj + (usedUj < first.usedUj ? maxUj : 0);
  }
  return uj / 1e6 / seconds;
}

function wholeNumber(text: string | null): number | null {
  return text !== null && /^\d+\s*$/.test(text) ? Number(text) : null;
}

export function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
