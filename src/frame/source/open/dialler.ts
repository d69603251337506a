import { lookup } from 'node:dns';
import { connect, isIP, type LookupFunction, type Socket } from 'node:net';
import { createSecureContext, rootCertificates, type SecureContext, connect as tlsConnect } from 'node:tls';
import type { SourceAccess } from '../../../base/core/source.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { NetworkList } from '../network-list.ts';
import { connectFailure } from './connect-failure.ts';

/** An address of a camera or server. */
export interface Target {
  /** Name or address, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

/** The context of the newest list of authorities: making one takes 10 ms, and a pipeline has only one list. */
let context: { readonly authorities: string; readonly secure: SecureContext } | null = null;

/**
 * Opens connections within the rules of a source. A name is resolved once for each connection: the addresses that were checked
 * are those that are connected to, whatever the name server answers next time.
 */
export class Dialler {
  readonly #access: SourceAccess;
  readonly #networks: NetworkList | null;

  /** @throws CONFIG_INVALID for an invalid network. */
  constructor(access: SourceAccess) {
    this.#access = access;
    const networks = access.networks === null ? null : new NetworkList(access.networks, 'fleet.networks');
    this.#networks = networks?.isAll === true ? null : networks;
  }

  /** True if connections may only go to some networks. */
  get isLimited(): boolean {
    return this.#networks !== null;
  }

  /** Certificates are verified against these options of `tls.connect`. */
  get tlsOptions(): { readonly rejectUnauthorized: boolean; readonly secureContext?: SecureContext } {
    const { isTlsInsecure, authorities } = this.#access;
    const rejectUnauthorized = !isTlsInsecure;
    return authorities === null ? { rejectUnauthorized } : { rejectUnauthorized, secureContext: trusting(authorities) };
  }

  /** Resolves a name like Node's own, and fails with SOURCE_FORBIDDEN if one of its addresses is outside of the networks. */
  readonly lookup: LookupFunction = (host, options, done) => {
    lookup(host, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return done(error, '');
      const refusal = addresses.map(({ address }) => this.#refusal(host, address)).find((each) => each !== null);
      if (refusal !== undefined) return done(refusal, '');
      if (options.all === true) done(null, addresses);
      else done(null, addresses[0]!.address, addresses[0]!.family);
    });
  };

  /** Resolves a host to an address within the rules. @throws SOURCE_FORBIDDEN, SOURCE_UNREACHABLE */
  resolve(host: string): Promise<string> {
    return new Promise((resolve, reject) => {
      this.lookup(host, {}, (error, address) =>
        error === null ? resolve(address as string) : reject(connectFailure(error, host)),
      );
    });
  }

  /** Checks a host that is an address already, which sockets do not look up. @throws SOURCE_FORBIDDEN if it is outside of the networks. */
  checkHost(host: string): void {
    const refusal = isIP(host) === 0 ? null : this.#refusal(host, host);
    if (refusal !== null) throw refusal;
  }

  /**
   * Resolves when connected and, with TLS, when the certificate is verified.
   *
   * @param timeoutMs - longest wait.
   * @throws SOURCE_FORBIDDEN, SOURCE_UNREACHABLE, SOURCE_UNTRUSTED
   */
  connect({ host, port, isTls }: Target, timeoutMs: number): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void => reject(connectFailure(error, `${host}:${port}`));
      try {
        this.checkHost(host);
      } catch (error) {
        return fail(error as Error);
      }
      const where = { host, port, lookup: this.lookup };
      const name = isIP(host) === 0 ? { servername: host } : {};
      const socket = isTls ? tlsConnect({ ...where, ...name, ...this.tlsOptions }) : connect(where);
      socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)));
      socket.once('error', fail);
      socket.once(isTls ? 'secureConnect' : 'connect', () => {
        socket.setTimeout(0);
        socket.off('error', fail);
        resolve(socket);
      });
    });
  }

  #refusal(host: string, address: string): SightlineError | null {
    if (this.#networks === null || this.#networks.has(address)) return null;
    const target = host === address ? address : `${host}, which is ${address}`;
    const allowed = this.#access.networks?.join(', ') || 'none';
    return new SightlineError(
      'SOURCE_FORBIDDEN',
      `it leads to ${target}; allowed are the networks ${allowed} (fleet.networks)`,
    );
  }
}

function trusting(authorities: string): SecureContext {
  if (context?.authorities === authorities) return context.secure;
  context = { authorities, secure: createSecureContext({ ca: [...rootCertificates, authorities] }) };
  return context.secure;
}
