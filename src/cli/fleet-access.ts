import type { Command } from 'commander';
import type { ControlPlane } from '../control/control-plane.ts';
import { openRedisControlPlane } from '../control/redis/redis-control-plane.ts';
import { SightlineError } from '../errors/sightline-error.ts';
import { type CliIo, note } from './cli-io.ts';

export interface FleetFlags {
  readonly redis?: string;
}

/** Opens the control plane for a command. Tests pass their own. */
export type OpenControl = (url: string, io: CliIo) => Promise<ControlPlane>;

/** Adds the flag that every fleet command takes. */
export function addFleetFlag(command: Command): Command {
  return command.option('--redis <url>', "the fleet's Redis, such as redis://host:6379 (default: REDIS_URL)");
}

export const openRedis: OpenControl = (url, io) =>
  openRedisControlPlane({
    url,
    caFile: io.environment.redisCaFile ?? null,
    fleetKeys: io.environment.fleetKeys ?? null,
    onNotice: (text) => note(io, text),
  });

/**
 * Runs one command against the fleet and always closes the connection.
 *
 * @throws COMMAND_INVALID if no Redis is named, and whatever `open` and `act` throw.
 */
export async function withFleet<T>(
  { redis }: FleetFlags,
  io: CliIo,
  open: OpenControl,
  act: (control: ControlPlane) => Promise<T>,
): Promise<T> {
  const url = redis ?? io.environment.redisUrl;
  if (url === undefined || url === '') {
    throw new SightlineError(
      'COMMAND_INVALID',
      '--redis: expected the URL of the Redis that the fleet shares, received none. Pass --redis redis://HOST:6379 or set ' +
        'REDIS_URL; to work on this machine only, use `sightline run` or `sightline detect`',
    );
  }
  const control = await open(url, io);
  try {
    return await act(control);
  } finally {
    await control.close();
  }
}
