import type { FleetConfig } from '../config/fleet-config.ts';
import type { SourceAccess } from '../core/source.ts';

export interface SourceRulesOptions {
  readonly fleet: Pick<FleetConfig, 'roots' | 'networks'>;
  /** PEM text of certificate authorities to trust besides the usual ones; null for none. */
  readonly authorities: string | null;
  /** Whether the owner of the host named a source for this stream, in the pipeline file or in the program. */
  readonly isOwn: (source: string, stream: string) => boolean;
  /** Checks any other source. Rejects with SOURCE_FORBIDDEN if it is not allowed. */
  readonly admitOther: (source: string) => Promise<void>;
}

/**
 * Decides which sources a host opens and where they may lead. Those that the owner named for a stream are bound by no rule there, also if a
 * client asks for them: so it can give the stream back the source of its file. All others are bound by the rules of `fleet`, those of
 * other streams as well: who may change one stream must not get the video of another.
 */
export class SourceRules {
  readonly #options: SourceRulesOptions;

  constructor(options: SourceRulesOptions) {
    this.#options = options;
  }

  /** @throws SOURCE_FORBIDDEN, and what `admitOther` throws. */
  async admit(source: string, stream: string): Promise<void> {
    if (!this.#options.isOwn(source, stream)) await this.#options.admitOther(source);
  }

  /** Returns what a source, and all that it leads to, may open. Looked up at each start. */
  accessOf(source: string, stream: string): SourceAccess {
    const { fleet, authorities, isOwn } = this.#options;
    const { roots, networks } = isOwn(source, stream) ? { roots: null, networks: null } : fleet;
    return { roots, networks, authorities, isTlsInsecure: false };
  }
}
