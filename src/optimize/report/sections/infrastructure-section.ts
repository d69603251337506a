import {
  type Block,
  code,
  heading,
  measured,
  paragraph,
  type Section,
  type Span,
  type Text,
  tableOf,
} from '../document.ts';
import { amount, counted, fps, money, ms, percent, whole } from '../figures.ts';
import type { Findings } from '../findings.ts';
import { FLEET_SIZES, type HostLoad, hostLoad, hostsFor, pricePerCamera } from '../host-plan.ts';
import type { ReportInput, ReportSide } from '../report-input.ts';

/** Threads, cameras a host, hosts for a fleet with headroom, autoscaling, price. */
export function infrastructureSection(findings: Findings): Section {
  const { input, before, after, hasChanged } = findings;
  const old = loadOf(input.baseline, before.fps, input);
  const now = loadOf(input.best, after.fps, input);
  return {
    id: 'infrastructure',
    title: 'Infrastructure plan',
    blocks: [
      heading('Threads of one host'),
      paragraph(...threads(findings)),
      heading('Cameras of one host'),
      paragraph(...cameras(input, hasChanged ? old : null, now)),
      heading('Hosts'),
      paragraph(
        `Each takes ${counted(now.planned, 'camera')}`,
        idsOf(input.best),
        '; the spare one replaces a host that fails or is updated.',
      ),
      hostsTable(input, hasChanged ? old : null, now),
      ...price(input),
      heading('Autoscaling'),
      ...autoscaling(findings, now),
    ],
  };
}

function loadOf(side: ReportSide, rate: number, { options }: ReportInput): HostLoad {
  return hostLoad(side.capacity, rate, options.cameraFps, options.headroomRatio);
}

/** Measurements that the number of cameras of a side comes from. */
function idsOf(side: ReportSide): Span {
  return measured(...(side.capacity?.measurements ?? [side.measurement]));
}

function threads({ input, after }: Findings): Text {
  const { inferenceThreads, lanes, decodeThreads, maxBatch, maxDelayMs } = input.best.configuration;
  const batches =
    maxBatch === 1 ? 'no batches' : `batches of at most ${whole(maxBatch)} frames that wait at most ${ms(maxDelayMs)}`;
  const cpu =
    after.cpuMsPerFrame === null
      ? []
      : [
          ` At ${fps(after.fps)} they use ${amount((after.fps * after.cpuMsPerFrame.total) / 1000)} of ${counted(input.machine.cores, 'core')}`,
          measured(input.best.measurement),
          '.',
        ];
  return [
    `${counted(inferenceThreads, 'inference thread')}, ${counted(lanes, 'lane')}, ${counted(decodeThreads, 'decoder thread')} a stream, ${batches}.`,
    ...cpu,
  ];
}

function cameras(input: ReportInput, old: HostLoad | null, now: HostLoad): Text {
  const { options, baseline, best } = input;
  const rate = fps(options.cameraFps);
  const how = (side: ReportSide, load: HostLoad): Text =>
    load.isMeasured && side.capacity !== null
      ? [
          `${counted(side.capacity.cameras, 'camera')} of ${fps(side.capacity.cameraFps)} (measured, p99 ${ms(side.capacity.p99Ms)} at that number`,
          idsOf(side),
          ')',
        ]
      : [`${counted(load.cameras, 'camera')} of ${rate} (predicted from the rate, not measured`, idsOf(side), ')'];
  return [
    'One host like this one takes ',
    ...how(best, now),
    ...(old === null ? [] : ['; before, ', ...how(baseline, old)]),
    `. With ${percent(options.headroomRatio)} kept free for peaks and crowded scenes, plan ${counted(now.planned, 'camera')} of ${rate} a host.`,
  ];
}

function hostsTable(input: ReportInput, old: HostLoad | null, now: HostLoad): Block {
  const { hostPrice } = input.options;
  const text = (hosts: number | null): string => (hosts === null ? 'not possible' : whole(hosts));
  return {
    kind: 'table',
    table: tableOf(
      [
        '>Cameras',
        ...(old === null ? [] : ['>Hosts before']),
        '>Hosts',
        '>With one spare',
        ...(hostPrice === null ? [] : ['>A month', ...(old === null ? [] : ['>A camera before']), '>A camera']),
      ],
      FLEET_SIZES.map((size) => {
        const hosts = hostsFor(size, now);
        return [
          whole(size),
          ...(old === null ? [] : [text(hostsFor(size, old))]),
          text(hosts),
          text(hosts === null ? null : hosts + 1),
          ...(hostPrice === null
            ? []
            : [
                hosts === null ? '–' : money((hosts + 1) * hostPrice.amount, hostPrice.currency),
                ...(old === null ? [] : [priceText(size, old, input)]),
                priceText(size, now, input),
              ]),
        ];
      }),
    ),
  };
}

function priceText(size: number, load: HostLoad, { options }: ReportInput): string {
  const perCamera = pricePerCamera(size, load, options.hostPrice!, true);
  return perCamera === null ? '–' : money(perCamera, options.hostPrice!.currency);
}

function price({ options }: ReportInput): readonly Block[] {
  if (options.hostPrice === null)
    return [paragraph('With ', code('--host-price'), ' the table shows what a camera costs.')];
  const { amount: value, currency } = options.hostPrice;
  return [paragraph(`Prices are for a month, with ${money(value, currency)} a host and one spare host.`)];
}

function autoscaling({ input, after }: Findings, now: HostLoad): readonly Block[] {
  const { options, best } = input;
  const rate = best.capacity === null ? after.fps : best.capacity.cameras * best.capacity.cameraFps;
  const fill = 1 - options.headroomRatio;
  const [smallest, largest] = [hostsFor(FLEET_SIZES[0], now), hostsFor(FLEET_SIZES.at(-1)!, now)];
  if (smallest === null || largest === null)
    return [paragraph('One host does not take a single camera within the targets, so there is nothing to scale yet.')];
  return [
    paragraph(
      `Values for the pipeline of a fleet's hosts, from ${whole(FLEET_SIZES[0])} to ${counted(FLEET_SIZES.at(-1)!, 'camera')}. Any host then recommends a number of hosts at `,
      code('GET /api/scale'),
      ' and as ',
      code('sightline_fleet_recommended_hosts'),
      idsOf(best),
      '.',
    ),
    {
      kind: 'listing',
      language: 'yaml',
      lines: [
        'fleet:',
        `  capacityFps: ${Math.floor(rate)}   # as measured`,
        `  fillRatio: ${Number(fill.toFixed(2))}   # the rest is headroom`,
        `  minHosts: ${smallest + 1}   # ${FLEET_SIZES[0]} cameras and one spare`,
        `  maxHosts: ${largest + 1}   # ${FLEET_SIZES.at(-1)} cameras and one spare`,
      ],
    },
  ];
}
