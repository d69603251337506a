import { SightlineError } from '../../../base/errors/sightline-error.ts';

const TRUST = 'add it to the file of tls.caFile, or accept any certificate with insecureTls';

/** Problem and remedy for each code that OpenSSL and Node report about a certificate. */
const CERTIFICATES: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: `its certificate is self-signed: ${TRUST}`,
  SELF_SIGNED_CERT_IN_CHAIN: `its certificate comes from an authority that is not known here: ${TRUST}`,
  UNABLE_TO_GET_ISSUER_CERT: `its certificate comes from an authority that is not known here: ${TRUST}`,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: `its certificate comes from an authority that is not known here: ${TRUST}`,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'its certificate comes from an authority that is not known here, or the server does not send the certificates between: ' +
    TRUST,
  CERT_HAS_EXPIRED: 'its certificate has expired: renew it, and check the clock of this machine',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet: check the clocks of the server and of this machine',
  CERT_REVOKED: 'its certificate was revoked: replace it',
  INVALID_CA: 'its certificate was signed by one that may not sign others: replace it',
  INVALID_PURPOSE: 'its certificate is not meant for a server: replace it',
};

const REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'the host name has no address',
  EAI_AGAIN: 'the name server does not answer',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'the network is unreachable',
  ETIMEDOUT: 'connection timed out',
};

/**
 * Explains why a connection could not be made.
 *
 * @param where - host and port, for the message.
 * @returns SOURCE_UNTRUSTED if a certificate was refused; SOURCE_UNREACHABLE for other errors of the network.
 */
export function connectFailure(error: Error, where: string): SightlineError {
  if (error instanceof SightlineError) return error;
  const { code = '', reason } = error as NodeJS.ErrnoException & { readonly reason?: string };
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return new SightlineError(
      'SOURCE_UNTRUSTED',
      `${where}: its certificate is for another name (${reason ?? error.message}): use a name of the certificate in the URL`,
    );
  const problem = CERTIFICATES[code];
  if (problem !== undefined) return new SightlineError('SOURCE_UNTRUSTED', `${where}: ${problem}`);
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_'))
    return new SightlineError('SOURCE_UNREACHABLE', `${where}: it does not speak TLS as expected (${code})`);
  return new SightlineError('SOURCE_UNREACHABLE', `${where}: ${REASONS[code] ?? error.message}`);
}
