import { FleetRig } from './fleet-rig.ts';
import { openGateway } from './open-gateways.ts';
import { RequestPortDouble } from './request-port-double.ts';
import { RuntimeDouble } from './runtime-double.ts';
import { alertFigures, hostReport, poweredHost, streamReport } from './sample-reports.ts';

interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly series: readonly Series[];
}

/** The texts of two gateways of a fleet that together have every metric. */
export async function everyScrape(): Promise<readonly string[]> {
  const rig = await FleetRig.open();
  const placed = new RuntimeDouble();
  const decode = { frames: 'key', skipped: 40 } as const;
  const restream = {
    ...({ to: 'rtsp://media.example/gate', state: 'sending', problem: null } as const),
    connections: 1,
    sentFrames: 1,
    skippedFrames: 1,
  };
  placed.put({ ...streamReport('gate'), host: 'host-1', fence: 7, decode, restream });
  const sink = { id: 'hook', problem: null, sent: 1, waiting: 0, retried: 0, lost: { overflow: 1 } };
  const tracing = { spans: { sent: 9, lost: 1 }, logs: { sent: 3, lost: 0 } };
  placed.host = { ...hostReport(), ...poweredHost(), sinks: [sink], alerts: { phone: alertFigures() }, tracing };
  const requests = new RequestPortDouble();
  const live = { viewers: 1, skippedFrames: 1 };
  const figures = { bytes: 1, files: 1, memoryBytes: 1, writtenBytes: 1, deleted: 1, ...live, problem: null };
  const recorder = { figures } as never;
  const ports = [
    await openGateway(rig.view, { fleet: rig.view }),
    await openGateway(placed, { fleet: rig.view, recorder, requests }),
  ];
  rig.view.close();
  return Promise.all(ports.map(async ({ url }) => (await fetch(`${url}/metrics`)).text()));
}

/** Every metric that a gateway can give, with sample figures, each once. */
export async function everyMetric(): Promise<readonly MetricFamily[]> {
  const families = new Map<string, MetricFamily>();
  for (const text of await everyScrape())
    for (const family of readMetrics(text)) {
      const before = families.get(family.name);
      families.set(family.name, { ...family, series: [...(before?.series ?? []), ...family.series] });
    }
  return [...families.values()];
}

/** Reads an exposition text. @throws RangeError for a line that is none, and for a series before its HELP and TYPE. */
function readMetrics(text: string): readonly MetricFamily[] {
  const families: (MetricFamily & { series: Series[] })[] = [];
  let help: RegExpExecArray | null = null;
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const told = /^# HELP (\S+) (.+)$/.exec(line);
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    const series = /^([a-z0-9_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    const last = families.at(-1);
    if (told !== null) help = told;
    else if (type !== null && help?.[1] === type[1])
      families.push({ name: type[1]!, type: type[2]!, help: help![2]!, series: [] });
    else if (series !== null && last !== undefined && isOf(series[1]!, last)) {
      const pairs = [...(series[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
      const labels = Object.fromEntries(pairs.map(([, label, value]) => [label!, value!]));
      last.series.push({ name: series[1]!, labels, value: Number(series[3]) });
    } else throw new RangeError(`expected HELP, TYPE or a series of ${last?.name}, received ${line}`);
  }
  return families;
}

function isOf(series: string, { name, type }: MetricFamily): boolean {
  return type === 'histogram' ? /_(?:bucket|sum|count)$/.test(series) && series.startsWith(name) : series === name;
}
