import type { SourceAccess } from '../../base/core/source.ts';
import type { FleetConfig } from '../../settings/config/fleet-config.ts';
import { sourceText } from '../../settings/config/placeholders.ts';

export interface SourceRulesOptions {
  readonly fleet: Pick<FleetConfig, 'roots' | 'networks'>;
  /** PEM text of certificate authorities to trust besides the usual ones; null for none. */
  readonly authorities: string | null;
  /** Addresses that the owner of the host named for a stream, in the pipeline file or in the program. */
  readonly ofOwner: (stream: string) => ReadonlySet<string> | undefined;
  /** Those that the pipeline file names for it. */
  readonly ofFile: (stream: string) => ReadonlySet<string>;
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
    const { ofOwner, ofFile, admitOther } = this.#options;
    if (ofOwner(stream)?.has(source)) return;
    // What a placeholder of another stream stands for is the secret of that stream.
    if (!ofFile(stream).has(source)) sourceText(source, undefined);
    await admitOther(source);
  }

  /** Returns what a source, and all that it leads to, may open. Looked up at each start. */
  accessOf(source: string, stream: string): SourceAccess {
    const { fleet, authorities, ofOwner } = this.#options;
    const { roots, networks } = ofOwner(stream)?.has(source) ? { roots: null, networks: null } : fleet;
    return { roots, networks, authorities, isTlsInsecure: false };
  }
}
