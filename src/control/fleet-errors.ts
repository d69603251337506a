import { SightlineError } from '../errors/sightline-error.ts';

/** Errors that both control planes throw, with the same messages. */
export const fleetErrors = {
  streamExists: (id: string) =>
    new SightlineError(
      'STREAM_EXISTS',
      `stream "${id}": the fleet already has a stream with this id; choose another id, or remove it`,
      { id },
    ),
  streamNotFound: (id: string) =>
    new SightlineError('STREAM_NOT_FOUND', `stream "${id}": the fleet has no stream with this id`, { id }),
  hostNotFound: (id: string) => new SightlineError('HOST_NOT_FOUND', `host "${id}": no live host has this id`, { id }),
  hostExists: (id: string) =>
    new SightlineError(
      'HOST_EXISTS',
      `host "${id}": another live process has this id; give each host its own fleet.hostId. After a crash the id is ` +
        'free again after leaseMs',
      { id },
    ),
};
