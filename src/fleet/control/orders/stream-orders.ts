import { z } from 'zod';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { check } from '../../../settings/config/check.ts';
import type { HostCard, StreamOrder } from '../../../wire/protocol/fleet.ts';
import type { ChangeOptions, TagCheck } from '../../../wire/protocol/ports/runtime-port.ts';
import type { ControlPlane } from '../control-plane.ts';
import { choosePipeline } from './choose-pipeline.ts';
import { StreamRules, type StreamRulesOptions } from './stream-rules.ts';

export interface StreamOrdersOptions extends StreamRulesOptions {
  readonly control: ControlPlane;
  /** Id of the host or command that writes the orders. */
  readonly sender: string;
  /** Default pipeline of a new stream; null takes the one that the hosts run. */
  readonly pipeline: string | null;
}

/** An attempt fails only if another change was written meanwhile, so more failures than this point to a fault. */
const ATTEMPTS = 20;

const destination = z.looseObject({ pipeline: z.string().min(1).optional() });

/**
 * The operator's actions on streams and hosts of a fleet. Each changes the stored orders and then wakes the hosts, which
 * follow. Every method throws CONTROL_UNREACHABLE while the control plane does not answer.
 */
export class StreamOrders {
  readonly #options: StreamOrdersOptions;
  readonly #rules: StreamRules;

  constructor(options: StreamOrdersOptions) {
    this.#options = options;
    this.#rules = new StreamRules(options);
  }

  /**
   * @param stream - as in a pipeline file, not validated yet, and optionally the `pipeline` to run it.
   * @throws CONFIG_INVALID, SOURCE_FORBIDDEN, STREAM_EXISTS
   */
  async add(stream: unknown): Promise<StreamOrder> {
    const { pipeline: wanted, ...settings } = check(destination, stream, 'stream');
    const config = await this.#rules.added(settings);
    const { nowMs, hosts } = await this.#control.state.snapshot();
    const pipeline = wanted ?? this.#options.pipeline ?? choosePipeline(hosts, 'pipeline');
    const createdMs = Math.floor(nowMs);
    const order = { id: config.id, pipeline, config, isPaused: false, wantedHost: null, createdMs, revision: 0 };
    const written = await this.#control.state.addOrder(order);
    this.#wake(order.id);
    return written;
  }

  /**
   * @param request - the settings to change, not validated yet.
   * @throws CONFIG_INVALID, SOURCE_FORBIDDEN, STREAM_NOT_FOUND, and what the check throws.
   */
  change(id: string, request: unknown, { isWhole = false, check: checkTag }: ChangeOptions = {}): Promise<StreamOrder> {
    return this.#replace(id, async (order) => {
      checkTag?.(tagOf(order));
      const { config } = order;
      const next = isWhole ? this.#rules.rewritten(config, request) : this.#rules.changed(config, request);
      return { ...order, config: await next };
    });
  }

  /** @throws STREAM_NOT_FOUND */
  setPaused(id: string, isPaused: boolean): Promise<StreamOrder> {
    return this.#replace(id, (order) => (order.isPaused === isPaused ? order : { ...order, isPaused }));
  }

  /** @param hostId - null lets the planner choose. @throws STREAM_NOT_FOUND, HOST_NOT_FOUND, CONFIG_INVALID */
  move(id: string, hostId: string | null): Promise<StreamOrder> {
    return this.#replace(id, (order, hosts) => {
      if (hostId !== null) requireAbleHost(hostId, order, hosts);
      return { ...order, wantedHost: hostId };
    });
  }

  /**
   * @param checkTag - checks the order that was read; a change between reading and removing is not noticed. @throws
   * STREAM_NOT_FOUND, and what the check throws.
   */
  async remove(id: string, checkTag?: TagCheck): Promise<void> {
    const { order } = await this.#find(id);
    checkTag?.(tagOf(order));
    await this.#control.state.removeOrder(id);
    this.#wake(id);
  }

  /** @throws HOST_NOT_FOUND */
  async setDraining(hostId: string, isDraining: boolean): Promise<void> {
    const { hosts } = await this.#control.state.snapshot();
    if (!hosts.some(({ id }) => id === hostId)) throw hostNotFound(hostId, hosts);
    await this.#control.state.setDraining(hostId, isDraining);
    this.#wake(null);
  }

  get #control(): ControlPlane {
    return this.#options.control;
  }

  async #find(id: string): Promise<{ order: StreamOrder; hosts: readonly HostCard[] }> {
    const { orders, hosts } = await this.#control.state.snapshot();
    const order = orders.find((each) => each.id === id);
    if (order !== undefined) return { order, hosts };
    throw streamNotFound(id, orders);
  }

  /**
   * Writes a change of an order. If another change came first, it is made again from the newer order, so that both hold.
   *
   * @param next - returns its argument if nothing is to be changed.
   */
  async #replace(
    id: string,
    next: (order: StreamOrder, hosts: readonly HostCard[]) => Promise<StreamOrder> | StreamOrder,
  ): Promise<StreamOrder> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const { order, hosts } = await this.#find(id);
      const changed = await next(order, hosts);
      if (changed === order) return order;
      const written = await this.#control.state.replaceOrder(changed);
      if (written === null) continue;
      this.#wake(id);
      return written;
    }
    throw new SightlineError(
      'STREAM_STATE',
      `stream "${id}": others changed it ${ATTEMPTS} times meanwhile; try again`,
      {
        id,
      },
    );
  }

  /** Makes hosts follow at once instead of with their next heartbeat. */
  #wake(stream: string | null): void {
    this.#control.bus.publish({ topic: 'wake', hostId: this.#options.sender, stream, fence: null, body: null });
  }
}

function requireAbleHost(hostId: string, { id, pipeline }: StreamOrder, hosts: readonly HostCard[]): void {
  const host = hosts.find((each) => each.id === hostId);
  if (host === undefined) throw hostNotFound(hostId, hosts);
  if (host.pipeline === pipeline) return;
  const able = hosts.filter((each) => each.pipeline === pipeline).map((each) => each.id);
  const choice = able.length === 0 ? 'there is none' : able.join(', ');
  throw new SightlineError(
    'CONFIG_INVALID',
    `stream "${id}": host: expected a host of pipeline "${pipeline}" (${choice}), received "${hostId}", which runs "${host.pipeline}"`,
    { id, hostId },
  );
}

function hostNotFound(hostId: string, hosts: readonly HostCard[]): SightlineError {
  const known = hosts.map(({ id }) => id).join(', ') || 'none';
  return new SightlineError('HOST_NOT_FOUND', `host "${hostId}": not found; hosts of the fleet: ${known}`, { hostId });
}

/** Returns a text that differs after each change of an order. */
export function tagOf({ revision }: StreamOrder): string {
  return `${revision}`;
}

export function streamNotFound(id: string, orders: readonly StreamOrder[]): SightlineError {
  const known = orders.map((each) => each.id).join(', ') || 'none';
  return new SightlineError('STREAM_NOT_FOUND', `stream "${id}": not found; streams of the fleet: ${known}`, { id });
}
