import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { HostCard } from '../../../wire/protocol/fleet.ts';

/**
 * Returns the pipeline for a stream or a job that names none: the only one that the hosts run.
 *
 * @param option - name of the option, for the message: `--pipeline`, `pipeline`.
 * @throws CONFIG_INVALID if the hosts run none or several.
 */
export function choosePipeline(hosts: readonly HostCard[], option: string): string {
  const names = [...new Set(hosts.map(({ pipeline }) => pipeline))].sort();
  if (names.length === 1) return names[0]!;
  if (names.length === 0)
    throw new SightlineError('CONFIG_INVALID', `${option}: none is given, and no host of the fleet has joined yet`);
  throw new SightlineError(
    'CONFIG_INVALID',
    `${option}: expected the name of a pipeline, received none, and hosts run ${names.join(', ')}; name one`,
    {
      pipelines: names.join(', '),
    },
  );
}
