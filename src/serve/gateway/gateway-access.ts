import type { Server as HttpServer } from 'node:http';
import { Server as HttpsServer } from 'node:tls';
import type { Clock } from '../../base/core/clock.ts';
import { isMissing } from '../../base/disk/given-file.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import type { Incidents } from '../../base/flow/incidents.ts';
import type { Environment } from '../../settings/config/environment.ts';
import type { EventKind } from '../../wire/protocol/feed.ts';
import { AttemptLimit } from './access/attempt-limit.ts';
import type { ProxyUsers } from './access/proxy-users.ts';
import { readTlsFiles, type TlsFiles, type TlsPair } from './access/tls-files.ts';
import { type Identity, TokenTable } from './access/token-table.ts';
import { ENVIRONMENT_TOKEN, hashOfToken, MIN_TOKEN_CHARS, readTokensFile } from './access/tokens-file.ts';
import { WatchedFiles } from './access/watched-files.ts';
import { AccessGuard, isLoopback } from './auth.ts';

/** How often files are looked at, and connections of expired tokens are closed. */
const LOOK_MS = 500;

export interface AccessOptions {
  readonly host: string;
  /** One token with the role admin; undefined or empty: none. */
  readonly token: string | undefined;
  readonly tokensFile: { readonly path: string; readonly mustExist: boolean } | undefined;
  readonly tls: TlsFiles | undefined;
  readonly allowedOrigins: readonly string[];
  readonly proxyUsers: ProxyUsers | null;
  readonly clock: Clock;
  readonly wallMs: () => number;
}

/**
 * Returns the file of tokens. One that somebody has named must exist: without it, the gateway would be open.
 *
 * @param named - by the pipeline file; undefined if it names none.
 */
export function tokensFileOf(
  named: string | undefined,
  { tokensFile, defaultTokensFile }: Pick<Environment, 'tokensFile' | 'defaultTokensFile'>,
): AccessOptions['tokensFile'] {
  const path = named ?? tokensFile;
  if (path !== undefined) return { path, mustExist: true };
  return defaultTokensFile === undefined ? undefined : { path: defaultTokensFile, mustExist: false };
}

/** What follows from changes of the files. */
export interface AccessListener {
  /** A sentence for the log, the events and the audit log. */
  onChange(kind: EventKind & `access-${string}`, message: string): void;
  /** Close the connections for which `endOf` returns a reason. */
  closeConnections(endOf: (identity: Identity) => string | null): void;
}

/** Tokens and certificate of a gateway, and the guard that uses them. Files are read again when they change. */
export class GatewayAccess {
  readonly guard: AccessGuard;
  readonly tokens: TokenTable;
  readonly tls: TlsPair | null;
  readonly #options: AccessOptions;
  readonly #watchedTokens: WatchedFiles | null;
  readonly #watchedTls: WatchedFiles | null;
  #stopTimer: () => void = () => {};
  #isStopped = false;

  private constructor(
    options: AccessOptions,
    tokens: TokenTable,
    tls: TlsPair | null,
    watched: { readonly tokens: WatchedFiles | null; readonly tls: WatchedFiles | null },
  ) {
    this.#options = options;
    this.tokens = tokens;
    this.tls = tls;
    this.#watchedTokens = watched.tokens;
    this.#watchedTls = watched.tls;
    const { host, allowedOrigins, clock, proxyUsers } = options;
    this.guard = new AccessGuard({ host, tokens, proxyUsers, attempts: new AttemptLimit(clock), allowedOrigins });
  }

  /** Reads the files. @throws TOKEN_REQUIRED, CONFIG_INVALID, CONFIG_NOT_FOUND */
  static async open(options: AccessOptions): Promise<GatewayAccess> {
    const { tokensFile, tls, wallMs } = options;
    const tokens = new TokenTable(environmentToken(options.token), wallMs);
    const watched = {
      tokens: tokensFile === undefined ? null : await WatchedFiles.open([tokensFile.path]),
      tls: tls === undefined ? null : await WatchedFiles.open([tls.cert, tls.key]),
    };
    if (tokensFile !== undefined) tokens.replace(await readListed(tokensFile.path, tokensFile.mustExist));
    if (options.proxyUsers === null) requireTokenBeyondLoopback(options.host, tokens);
    return new GatewayAccess(options, tokens, tls === undefined ? null : await readTlsFiles(tls), watched);
  }

  /** Starts to follow the files. `server` gets new certificates. */
  follow(server: HttpServer | HttpsServer, listener: AccessListener, incidents: Incidents): void {
    const look = async (): Promise<void> => {
      await this.#lookAtTokens(listener);
      await this.#lookAtTls(server, listener);
      listener.closeConnections((identity) => this.tokens.endOf(identity));
    };
    const next = (): void => {
      if (this.#isStopped) return;
      this.#stopTimer = this.#options.clock.setTimer(() => {
        look()
          .catch((error: unknown) => incidents.catch('the access files', error))
          .finally(next);
      }, LOOK_MS);
    };
    next();
  }

  stop(): void {
    this.#isStopped = true;
    this.#stopTimer();
  }

  async #lookAtTokens(listener: AccessListener): Promise<void> {
    const { tokensFile } = this.#options;
    if (tokensFile === undefined || !(await this.#watchedTokens?.look())) return;
    try {
      // A file that was removed has no tokens: everyone who had one of them is out.
      const { added, removed } = this.tokens.replace(await readListed(tokensFile.path, false));
      const names = (list: readonly string[]): string => (list.length === 0 ? 'none' : list.join(', '));
      listener.onChange(
        'access-changed',
        `The tokens were read again. New or changed: ${names(added)}; gone or changed: ${names(removed)}.`,
      );
    } catch (error) {
      listener.onChange('access-failed', `The previous tokens stay in use: ${(error as Error).message}`);
    }
  }

  async #lookAtTls(server: HttpServer | HttpsServer, listener: AccessListener): Promise<void> {
    const { tls, wallMs } = this.#options;
    if (tls === undefined || !(await this.#watchedTls?.look()) || !(server instanceof HttpsServer)) return;
    try {
      const { cert, key, expiresMs } = await readTlsFiles(tls);
      const until = new Date(expiresMs).toISOString();
      if (expiresMs <= wallMs())
        throw new SightlineError('CONFIG_INVALID', `gateway.tls.cert: ${tls.cert} has expired at ${until}`);
      server.setSecureContext({ cert, key });
      listener.onChange('access-changed', `The certificate was read again. It is valid until ${until}.`);
    } catch (error) {
      listener.onChange('access-failed', `The previous certificate stays in use: ${(error as Error).message}`);
    }
  }
}

async function readListed(path: string, mustExist: boolean): ReturnType<typeof readTokensFile> {
  try {
    return await readTokensFile(path);
  } catch (error) {
    if (!mustExist && isMissing(error)) return [];
    throw error;
  }
}

/** Of 10,000 random tokens of 16 digits or letters, fewer than 50 have less. */
const LEAST_DIFFERENT = 6;

function environmentToken(token: string | undefined): Identity[] {
  if (token === undefined || token === '') return [];
  const different = new Set(token).size;
  const isRepetition = /^(.+?)\1+$/s.test(token);
  const received =
    token.length < MIN_TOKEN_CHARS
      ? `${token.length}`
      : isRepetition
        ? 'one text again and again'
        : different < LEAST_DIFFERENT
          ? `${different} different ones`
          : null;
  if (received !== null)
    throw new SightlineError(
      'CONFIG_INVALID',
      `${ENVIRONMENT_TOKEN}: expected at least ${MIN_TOKEN_CHARS} random characters, received ${received}. ` +
        'Make one with "openssl rand -hex 32"; "sightline tokens add NAME" makes tokens for a file',
    );
  return [{ name: ENVIRONMENT_TOKEN, role: 'admin', expiresMs: null, hash: hashOfToken(token) }];
}

function requireTokenBeyondLoopback(host: string, tokens: TokenTable): void {
  if (isLoopback(host) || tokens.isRequired) return;
  throw new SightlineError(
    'TOKEN_REQUIRED',
    `gateway.host: "${host}" can be reached from other machines, so a token is required and none is set. ` +
      'Create one with `sightline tokens add NAME --role admin`, set SIGHTLINE_TOKEN, or listen on 127.0.0.1.',
    { host },
  );
}
