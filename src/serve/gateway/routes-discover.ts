import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { FREE_ACCESS } from '../../base/core/source.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { NetworkList, PRIVATE_NETWORKS } from '../../frame/source/network-list.ts';
import { Dialler } from '../../frame/source/open/dialler.ts';
import { check } from '../../settings/config/check.ts';
import type { OfferedCamera } from '../../wire/protocol/offered-camera.ts';
import { described } from './route-schema.ts';

/** Where cameras are searched. */
export interface Discovery {
  /** As `fleet.networks`: private networks if that allows all. */
  readonly networks: readonly string[];
  /** Of the group; by default that of WS-Discovery. */
  readonly port?: number;
}

const ANSWERS_MS = 3_000;
/** After this time no more cameras are asked. */
const MOST_MS = 20_000;

const text = z.string().max(256);
const body = z.strictObject({
  login: z
    .strictObject({ user: text.min(1), password: text })
    .optional()
    .describe('Of the cameras: most name their streams only with one.'),
});

/** Adds `POST /api/sources/discover`. */
export function addDiscoverRoute(
  app: FastifyInstance,
  { networks: allowed, port }: Discovery = { networks: PRIVATE_NETWORKS },
): void {
  let isSearching = false;
  app.post(
    '/api/sources/discover',
    described('Asks the networks of the host for ONVIF cameras, and these for their streams.', { body }),
    async (request): Promise<{ readonly cameras: readonly OfferedCamera[] }> => {
      const { login = null } = check(body, request.body ?? {}, 'body');
      if (isSearching) throw new SightlineError('LIMIT_REACHED', 'somebody searches already; try again in a moment');
      isSearching = true;
      try {
        // A parser of XML that nothing else needs comes with it.
        const { askDevices } = await import('../../frame/source/onvif/ask-devices.ts');
        const { findDevices } = await import('../../frame/source/onvif/find-devices.ts');
        const networks = allowed.includes('0.0.0.0/0') ? PRIVATE_NETWORKS : allowed;
        const signal = AbortSignal.timeout(MOST_MS);
        const devices = await findDevices(new NetworkList(networks, 'fleet.networks'), ANSWERS_MS, signal, port);
        const dialler = new Dialler({ ...FREE_ACCESS, networks });
        return { cameras: await askDevices(devices, login, dialler, signal) };
      } finally {
        isSearching = false;
      }
    },
  );
}
