import { basename, resolve } from 'node:path';
import { SightlineError } from '../../errors/sightline-error.ts';
import { amount, counted, fps, joules, money, whole } from './figures.ts';
import { type HostLoad, hostLoad } from './host-plan.ts';
import { blocks, code, list, md, strong, table } from './markdown.ts';
import { type Report, renderHtml } from './render-html.ts';
import { type ResultFile, readResult } from './result-file.ts';
import { writeFiles } from './write-files.ts';

/** One machine type, with the configuration that may be used on it. */
interface MachineChoice {
  readonly folder: string;
  /** The pipeline or recording, as its run named it. */
  readonly subject: string;
  readonly machine: string;
  /** `best` only where it is proven to be faster and to keep the quality. */
  readonly uses: 'best' | 'baseline';
  readonly outcome: ResultFile['outcome'];
  readonly ratio: number | null;
  readonly fps: number;
  readonly cameras: number;
  /** With headroom. */
  readonly plannedCameras: number;
  readonly isMeasured: boolean;
  /** A month; null without the price of a host, or if it takes no camera. */
  readonly pricePerCamera: number | null;
  readonly currency: string | null;
  readonly joulesPerFrame: number | null;
  /** Why it cannot be recommended; null if it can. */
  readonly objection: string | null;
}

export interface MergedChoice {
  readonly machines: readonly MachineChoice[];
  /** Index in `machines`; null if none can be recommended. */
  readonly recommended: number | null;
  readonly reason: string;
  readonly target: string | null;
  readonly cameraFps: number;
}

/**
 * Reads the results of several machine types and chooses one: the cheapest camera, or the most cameras where not every host has a price in
 * one currency.
 *
 * @throws COMMAND_INVALID, CONFIG_INVALID as `readResult`; COMMAND_INVALID for one folder given twice.
 */
export async function mergeResults(folders: readonly string[]): Promise<MergedChoice> {
  const twice = folders.find((folder, i) => folders.findIndex((other) => resolve(other) === resolve(folder)) !== i);
  if (twice !== undefined)
    throw new SightlineError(
      'COMMAND_INVALID',
      `--merge: expected a folder for each machine type, received ${twice} twice`,
    );
  const results: ResultFile[] = [];
  for (const folder of folders) results.push(await readResult(folder));
  return choose(results.map((result, i) => ({ folder: folders[i]!, result })));
}

export function choose(given: readonly { readonly folder: string; readonly result: ResultFile }[]): MergedChoice {
  const machines = given.map(({ folder, result }) => machineChoice(folder, result));
  const { target = null, cameraFps = 0 } = given[0]?.result ?? {};
  const decide = (recommended: number | null, reason: string): MergedChoice => ({
    ...{ machines, target, cameraFps, recommended, reason },
  });
  const isOdd = given.some(({ result }) => result.target !== target || result.cameraFps !== cameraFps);
  if (isOdd)
    return decide(null, 'The runs had different targets or cameras of different rates, so they cannot be compared.');
  const names = new Set(given.map(({ result }) => basename(result.subject)));
  if (names.size > 1)
    return decide(null, `The runs had different pipelines (${[...names].join(', ')}), so they cannot be compared.`);
  const able = machines.filter(({ objection }) => objection === null);
  if (able.length === 0) return decide(null, 'No machine type can be recommended: see the reason for each.');
  const currencies = new Set(able.map(({ currency, pricePerCamera }) => (pricePerCamera === null ? null : currency)));
  const hasPrices = currencies.size === 1 && !currencies.has(null);
  const best = [...able].sort((a, b) =>
    hasPrices
      ? a.pricePerCamera! - b.pricePerCamera! || b.fps - a.fps
      : b.plannedCameras - a.plannedCameras || b.fps - a.fps,
  )[0]!;
  const reason = hasPrices
    ? `The cheapest camera: ${money(best.pricePerCamera!, best.currency!)} a month, ${counted(best.plannedCameras, 'camera')} a host.`
    : `The most cameras a host: ${whole(best.plannedCameras)}. With --host-price in one currency for each run, the cheapest camera would decide.`;
  return decide(machines.indexOf(best), reason);
}

function machineChoice(folder: string, result: ResultFile): MachineChoice {
  const { subject, machine, device, outcome, hostPrice, speedup } = result;
  const uses = outcome === 'faster' ? 'best' : 'baseline';
  const side = result[uses];
  const load = hostLoad(side.capacity, side.fps, result.cameraFps, result.headroomRatio);
  const price = hostPrice === null || load.planned === 0 ? null : hostPrice.amount / load.planned;
  return {
    ...{ folder, subject, uses, outcome, fps: side.fps, cameras: load.cameras, plannedCameras: load.planned },
    machine: `${machine.cpuModel}, ${counted(machine.cores, 'core')}${device === null ? '' : `, ${device}`}`,
    ...{ ratio: speedup?.ratio ?? null, isMeasured: load.isMeasured, pricePerCamera: price },
    ...{ currency: hostPrice?.currency ?? null, joulesPerFrame: side.joulesPerFrame },
    objection: objectionTo(result, side.targets, load),
  };
}

function objectionTo({ validity }: ResultFile, targets: ResultFile['best']['targets'], load: HostLoad): string | null {
  if (!validity.isValid) return 'measurement invalid';
  const unmet = targets.filter(({ state }) => state !== 'met').map(({ target, state }) => `${target} ${state}`);
  if (unmet.length > 0) return unmet.join(', ');
  return load.planned === 0 ? 'takes no camera with headroom' : null;
}

/** Makes the page about the choice. */
export function choiceReport(choice: MergedChoice): Report {
  const { machines, recommended, reason, target, cameraFps } = choice;
  const chosen = recommended === null ? null : machines[recommended]!;
  const title = chosen === null ? 'No machine type can be recommended' : `Use ${chosen.machine} (${chosen.folder})`;
  const hasBaseline = machines.some(({ uses }) => uses === 'baseline');
  return {
    ...{ title, tone: chosen === null ? 'neutral' : 'good' },
    body: blocks(
      md`# ${title}`,
      md`${reason}${target === null ? '' : md` Target: ${code(target)}.`} Pipeline: ${code(machines[0]?.subject ?? '')}.`,
      md`### Machine types`,
      table(machines, {
        Report: ({ folder }) => code(folder),
        Machine: ({ machine }, i) => (i === recommended ? strong(machine) : machine),
        '>Rate': (one) =>
          `${fps(one.fps)}${one.uses === 'best' && one.ratio !== null ? ` (×${amount(one.ratio)})` : ''}`,
        [`>Cameras of ${fps(cameraFps)}`]: (one) =>
          `${whole(one.plannedCameras)} of ${whole(one.cameras)}${one.isMeasured ? '' : ', predicted'}`,
        '>A camera a month': ({ pricePerCamera: price, currency }) => (price === null ? null : money(price, currency!)),
        '>Energy a frame': ({ joulesPerFrame }) => joules(joulesPerFrame),
        Runs: ({ uses, folder }) => (uses === 'best' ? code(`${folder}/best.yaml`) : 'the pipeline as it was'),
        'Against it': ({ objection }) => objection ?? 'nothing',
      }),
      list([
        'Cameras are those with headroom kept free, of those at the limit.',
        ...(hasBaseline ? ['Where no faster configuration is proven, the pipeline as it was counts.'] : []),
      ]),
    ),
  };
}

/** Writes `choice.html`, `choice.md` and `choice.json` into a folder. @returns the paths. @throws as `writeFiles` */
export function writeChoice(folder: string, choice: MergedChoice): Promise<readonly string[]> {
  const report = choiceReport(choice);
  return writeFiles(folder, {
    'choice.html': renderHtml(report),
    'choice.md': report.body.source,
    'choice.json': choice,
  });
}
