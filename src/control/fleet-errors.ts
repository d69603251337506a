import { SightlineError } from '../errors/sightline-error.ts';

/** What both control planes complain of, in the same words. */
export const fleetErrors = {
  streamExists: (id: string) =>
    new SightlineError(
      'STREAM_EXISTS',
      `stream "${id}": the fleet has a stream of this id; choose another id, or remove it`,
      {
        id,
      },
    ),
  streamNotFound: (id: string) =>
    new SightlineError('STREAM_NOT_FOUND', `stream "${id}": the fleet has no stream of this id`, { id }),
  hostNotFound: (id: string) =>
    new SightlineError('HOST_NOT_FOUND', `host "${id}": no host of this id was heard of lately`, { id }),
  hostExists: (id: string) =>
    new SightlineError(
      'HOST_EXISTS',
      `host "${id}": another process of this id is alive; give each host its own fleet.hostId. After a crash the id is ` +
        'free again when leaseMs have passed',
      { id },
    ),
};
