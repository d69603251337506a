import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SightlineError } from '../../src/base/errors/sightline-error.ts';
import type { FleetBus } from '../../src/fleet/control/control-plane.ts';
import { AuditLog } from '../../src/fleet/control/rollout/audit-log.ts';
import { RolloutAgent } from '../../src/fleet/control/rollout/rollout-agent.ts';
import type { RolloutStore } from '../../src/fleet/control/rollout/rollout-store.ts';
import { StartLog } from '../../src/fleet/control/rollout/start-log.ts';
import { rolledSettings } from '../../src/fleet/control/rollout/stream-changes.ts';
import { parseStream } from '../../src/settings/config/parse-stream.ts';
import type { EventMessage } from '../../src/wire/protocol/feed.ts';
import type { Decision } from '../../src/wire/protocol/rollout-records.ts';
import { ManualClock } from './manual-clock.ts';
import { CAMERAS, PanelsDouble, TargetDouble, version } from './rollout-doubles.ts';

const cameraConfig = (id: string) => parseStream({ id, source: `rtsp://camera.example/${id}` }, {});

export const INITIAL = version('people@1', 'old');

/** By name of the model, as manifests report it. */
/** One host with its part of a roll-out. The test beats for it. */
export interface RolloutHost {
  readonly id: string;
  readonly agent: RolloutAgent;
  readonly target: TargetDouble;
  readonly panels: PanelsDouble;
  readonly events: EventMessage[];
  readonly notices: string[];
  /** Lines of its audit log. */
  audit(): (Decision & { readonly time: string })[];
}

/** Hosts of one pipeline with 12 cameras on one control plane. */
export class RolloutRig {
  readonly #plane: { readonly store: RolloutStore; readonly bus: FleetBus };
  /** Has the logs of the hosts. */
  readonly folder = mkdtempSync(join(tmpdir(), 'sightline-rollout-'));
  readonly #hosts: RolloutHost[] = [];
  readonly #logs: AuditLog[] = [];
  readonly #dead: AuditLog[] = [];
  /** Names of all streams, as far as hosts know them. */
  streams: readonly string[] = CAMERAS;

  constructor(plane: { readonly store: RolloutStore; readonly bus: FleetBus }) {
    this.#plane = plane;
  }

  /** @param failure - why it cannot load any further version. */
  async host(
    id: string,
    cameras: readonly string[] = CAMERAS,
    failure: SightlineError | null = null,
  ): Promise<RolloutHost> {
    const { store, bus } = this.#plane;
    const target = new TargetDouble(cameras, INITIAL);
    target.failure = failure;
    const panels = new PanelsDouble();
    const path = join(this.folder, `${id}.jsonl`);
    const notices: string[] = [];
    const onNotice = (text: string): void => {
      notices.push(text);
    };
    // A process that ended writes no more: two writers would take each other's lines for incomplete ones.
    for (const dead of this.#dead) await dead.append([]);
    const log = await AuditLog.open(path, onNotice);
    const agent = new RolloutAgent({
      store,
      bus,
      target,
      panels,
      hostId: id,
      pipeline: 'people',
      initial: INITIAL,
      onNotice,
      audit: log,
      starts: new StartLog(join(this.folder, `${id}-starts.json`), onNotice),
      resolve: async ({ model, batch }) => {
        if (model.name === 'unknown')
          throw new SightlineError('MODEL_NOT_FOUND', `model "${model.name}": no manifest has this name`);
        return { model, batch, weights: [model.name] };
      },
      detectorOf: async ({ name }) => ({
        family: name.startsWith('other') ? 'gfl' : 'yolox',
        reported: null,
        found: { classes: ['person'] },
      }),
      running: { lanes: 1, ...rolledSettings({ defaults: {}, streams: CAMERAS.map(cameraConfig) }) },
      streams: () => this.streams,
      hosts: () => this.#hosts.map((one) => one.id),
      beatMs: 1000,
      warmMs: 600_000,
      clock: new ManualClock(),
    });
    const events: EventMessage[] = [];
    agent.onRolloutEvent((event) => events.push(event));
    await agent.start();
    const audit = (): (Decision & { time: string })[] =>
      readFileSync(path, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Decision & { time: string });
    const host = { id, agent, target, panels, events, notices, audit };
    this.#hosts.push(host);
    this.#logs.push(log);
    return host;
  }

  /** The host ends without saying so, as in a crash. */
  kill(host: RolloutHost): void {
    const at = this.#hosts.indexOf(host);
    this.#hosts.splice(at, 1);
    this.#dead.push(...this.#logs.splice(at, 1));
  }

  async close(): Promise<void> {
    for (const { agent } of this.#hosts) await agent.close();
    for (const log of this.#dead) await log.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
