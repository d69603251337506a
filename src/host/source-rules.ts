import type { FleetConfig } from '../config/fleet-config.ts';
import { sourceText } from '../config/placeholders.ts';
import type { SourceAccess } from '../core/source.ts';

export interface SourceRulesOptions {
  readonly fleet: Pick<FleetConfig, 'roots' | 'networks'>;
  /** PEM text of certificate authorities to trust besides the usual ones; null for none. */
  readonly authorities: string | null;
  /** Whether the owner of the host named a source for this stream, in the pipeline file or in the program. */
  readonly isOwn: (source: string, stream: string) => boolean;
  /** Whether the pipeline file names it for this stream. */
  readonly isOfFile: (source: string, stream: string) => boolean;
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
    const { isOwn, isOfFile, admitOther } = this.#options;
    if (isOwn(source, stream)) return;
    // What a placeholder of another stream stands for is the secret of that stream.
    if (!isOfFile(source, stream)) sourceText(source, undefined);
    await admitOther(source);
  }

  /** Returns what a source, and all that it leads to, may open. Looked up at each start. */
  accessOf(source: string, stream: string): SourceAccess {
    const { fleet, authorities, isOwn } = this.#options;
    const { roots, networks } = isOwn(source, stream) ? { roots: null, networks: null } : fleet;
    return { roots, networks, authorities, isTlsInsecure: false };
  }
}
