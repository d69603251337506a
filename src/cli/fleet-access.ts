import type { ControlPlane } from '../fleet/control/control-plane.ts';
import { type CliIo, JSON_FLAG, note, wrongCommand } from './cli-io.ts';
import { type FlagsOf, flagTable } from './flag-values.ts';
import { controlDesk, type FleetDesk, gatewayDesk } from './fleet-desk.ts';
import { ACCESS_FLAGS, gatewayApi, refuseAccessFlags } from './gateway-client.ts';

/** Names the Redis of a fleet. */
export const FLEET_FLAG = flagTable({
  '--redis <url>': "the fleet's Redis, such as redis://host:6379 (default: REDIS_URL)",
});

/** Flags of commands that work on a fleet, in its Redis or through the gateway of any host. */
export const FLEET_CLIENT_FLAGS = flagTable({
  ...FLEET_FLAG,
  '--url <url>': 'gateway of a host, such as https://host:8080, in place of Redis',
  ...ACCESS_FLAGS,
  ...JSON_FLAG,
});

export type FleetFlags = FlagsOf<typeof FLEET_FLAG>;
export type FleetClientFlags = FlagsOf<typeof FLEET_CLIENT_FLAGS>;

/** Opens the control plane for a command. Tests pass their own. */
export type OpenControl = (url: string, io: CliIo) => Promise<ControlPlane>;

export const openRedis: OpenControl = async (url, io) => {
  const { openRedisControlPlane } = await import('../fleet/control/redis/redis-control-plane.ts');
  return openRedisControlPlane({
    url,
    caFile: io.environment.redisCaFile ?? null,
    fleetKeys: io.environment.fleetKeys ?? null,
    onNotice: (text) => note(io, text),
  });
};

/**
 * Runs one command against the fleet and always closes the connection.
 *
 * @throws COMMAND_INVALID if neither a Redis nor a gateway is named, or both, and whatever `open` and `act` throw.
 */
export async function withFleet<T>(
  flags: FleetClientFlags,
  io: CliIo,
  open: OpenControl,
  act: (desk: FleetDesk) => Promise<T>,
): Promise<T> {
  const { url, redis = io.environment.redisUrl } = flags;
  if (url !== undefined) {
    if (flags.redis !== undefined) throw wrongCommand('--redis and --url: expected one of them, received both');
    return act(gatewayDesk(gatewayApi(io, { ...flags, url })));
  }
  refuseAccessFlags(flags, '--url');
  if (redis === undefined || redis === '') {
    throw wrongCommand(
      '--redis: expected the URL of the Redis that the fleet shares, received none. Pass --redis redis://HOST:6379 or set ' +
        'REDIS_URL, or name the gateway of a host with --url; to work on this machine only, use `sightline run` or ' +
        '`sightline detect`',
    );
  }
  const control = await open(redis, io);
  try {
    return await act(controlDesk(control));
  } finally {
    await control.close();
  }
}
