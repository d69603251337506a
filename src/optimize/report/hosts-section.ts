import { amount, counted, fps, money, ms, percent, whole } from './figures.ts';
import type { Findings } from './findings.ts';
import { FLEET_SIZES, type HostLoad, hostLoad, hostsFor, pricePerCamera } from './host-plan.ts';
import { blocks, type Columns, code, folded, listing, type Markdown, md, measured, table } from './markdown.ts';
import type { ReportInput, ReportSide } from './report-input.ts';

/** Threads, cameras a host, hosts for a fleet with headroom, prices, autoscaling. */
export function hostsSection(findings: Findings): Markdown {
  const { input, before, after, hasChanged } = findings;
  const old = loadOf(input.baseline, before.fps, input);
  const now = loadOf(input.best, after.fps, input);
  return folded(
    'Hosts and prices',
    threads(findings),
    cameras(input, hasChanged ? old : null, now),
    hostsTable(input, hasChanged ? old : null, now),
    prices(input),
    autoscaling(findings, now),
  );
}

function loadOf(side: ReportSide, rate: number, { options }: ReportInput): HostLoad {
  return hostLoad(side.capacity, rate, options.cameraFps, options.headroomRatio);
}

function threads({ input, after }: Findings): Markdown {
  const { inferenceThreads, lanes, decodeThreads, maxBatch, maxDelayMs } = input.best.configuration;
  const batches =
    maxBatch === 1 ? 'no batches' : `batches of at most ${whole(maxBatch)} frames that wait at most ${ms(maxDelayMs)}`;
  const use =
    after.cpuMsPerFrame === null
      ? ''
      : md` At ${fps(after.fps)} they use ${amount((after.fps * after.cpuMsPerFrame.total) / 1000)} of ${counted(input.machine.cores, 'core')}${measured(input.best.measurement)}.`;
  return md`A host runs ${counted(inferenceThreads, 'inference thread')}, ${counted(lanes, 'lane')}, ${counted(decodeThreads, 'decoder thread')} a stream, ${batches}.${use}`;
}

function cameras({ options, baseline, best }: ReportInput, old: HostLoad | null, now: HostLoad): Markdown {
  const how = (side: ReportSide, load: HostLoad): Markdown =>
    side.capacity !== null
      ? md`${counted(side.capacity.cameras, 'camera')} of ${fps(side.capacity.cameraFps)} (${side.capacity.isProven ? 'measured' : 'not proven, the time was short'}, p99 ${ms(side.capacity.p99Ms)} at that number${measured(...side.capacity.measurements)})`
      : md`${counted(load.cameras, 'camera')} of ${fps(options.cameraFps)} (predicted from the rate, not measured${measured(side.measurement)})`;
  const was = old === null ? '' : md`; before, ${how(baseline, old)}`;
  return md`One host like this one takes ${how(best, now)}${was}. With ${percent(options.headroomRatio)} kept free for peaks and crowded scenes, plan ${counted(now.planned, 'camera')} of ${fps(options.cameraFps)} a host.`;
}

function hostsTable({ options }: ReportInput, old: HostLoad | null, now: HostLoad): Markdown {
  const { hostPrice } = options;
  const sides = [
    ...(old === null ? [] : [{ name: ' before', load: old }]),
    { name: old === null ? '' : ' after', load: now },
  ];
  const hosts = (load: HostLoad) => (size: number) => {
    const number = hostsFor(size, load);
    return number === null ? 'not possible' : `${whole(number)} and 1 spare`;
  };
  const price = (load: HostLoad) => (size: number) => {
    const each = pricePerCamera(size, load, hostPrice!, true);
    return each === null ? null : money(each, hostPrice!.currency);
  };
  const perSide = (title: string, cell: (load: HostLoad) => Columns<number>[string]): Columns<number> =>
    Object.fromEntries(sides.map(({ name, load }) => [`${title}${name}`, cell(load)]));
  return table<number>(FLEET_SIZES, {
    '>Cameras': whole,
    ...perSide('>Hosts', hosts),
    ...(hostPrice === null ? {} : perSide('>A camera a month', price)),
  });
}

function prices({ options: { hostPrice } }: ReportInput): Markdown {
  return hostPrice === null
    ? md`With ${code('--host-price')} the table shows what a camera costs.`
    : md`Prices are for a month, with ${money(hostPrice.amount, hostPrice.currency)} a host and the spare host.`;
}

function autoscaling({ input: { options, best }, after }: Findings, now: HostLoad): Markdown {
  const rate = best.capacity === null ? after.fps : best.capacity.cameras * best.capacity.cameraFps;
  const [smallest, largest] = [hostsFor(FLEET_SIZES[0], now), hostsFor(FLEET_SIZES.at(-1)!, now)];
  if (smallest === null || largest === null)
    return md`One host does not take a single camera within the targets, so there is nothing to scale yet.`;
  return blocks(
    md`Values for the pipeline of a fleet's hosts, from ${whole(FLEET_SIZES[0])} to ${counted(FLEET_SIZES.at(-1)!, 'camera')}. Any host then recommends a number of hosts at ${code('GET /api/scale')} and as ${code('sightline_fleet_recommended_hosts')}.`,
    listing('yaml', [
      'fleet:',
      `  capacityFps: ${Math.floor(rate)}   # as measured`,
      `  fillRatio: ${Number((1 - options.headroomRatio).toFixed(2))}   # the rest is headroom`,
      `  minHosts: ${smallest + 1}   # ${FLEET_SIZES[0]} cameras and one spare`,
      `  maxHosts: ${largest + 1}   # ${FLEET_SIZES.at(-1)} cameras and one spare`,
    ]),
  );
}
