import { SightlineError } from '../../errors/sightline-error.ts';
import type { HostCard } from '../../protocol/fleet.ts';

/**
 * The pipeline that a stream or a job goes to where none was named: the only one that the hosts run.
 *
 * @param option - how it is named here, for the message: `--pipeline`, `pipeline`.
 * @throws CONFIG_INVALID where there is none or a choice.
 */
export function choosePipeline(hosts: readonly HostCard[], option: string): string {
  const names = [...new Set(hosts.map(({ pipeline }) => pipeline))].sort();
  if (names.length === 1) return names[0]!;
  const found = names.length === 0 ? 'no host is here to ask' : `hosts run ${names.join(', ')}`;
  throw new SightlineError(
    'CONFIG_INVALID',
    `${option}: expected the name of a pipeline, received none, and ${found}; name one`,
    {
      pipelines: names.join(', '),
    },
  );
}
