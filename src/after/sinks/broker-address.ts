import { z } from 'zod';
import { decoded } from '../../base/core/hidden-values.ts';
import { MOST_BYTES, readGivenTextSync } from '../../base/disk/given-file.ts';
import { readAuthorities } from '../../base/disk/read-authorities.ts';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { hasPlaceholder, orPlaceholder } from '../../settings/config/placeholders.ts';
import { mark, mayHoldPlaceholders } from '../../settings/config/schema-text.ts';

/** The schemes of a kind of broker, with the port of each. The second is that with TLS. */
export type BrokerSchemes = Readonly<Record<string, number>>;

const path = z.string().min(1).optional();
const secretText = mayHoldPlaceholders(z.string().min(1))
  .optional()
  .meta(mark({ secret: true }));

/** Settings of every kind that connects to a broker, besides its address. */
export const brokerSettings = {
  user: secretText.describe('User of the broker.'),
  password: secretText.describe('Password of the user.'),
  caFile: path.describe(
    "PEM file of the certificate authorities that the broker's certificate is checked with, with TLS.",
  ),
  certFile: path.describe('PEM file of the certificate that this host shows, with TLS; needs keyFile.'),
  keyFile: path.describe('PEM file of its private key.'),
};

/** Address of a broker. @param example - shown if it is wrong. */
export function brokerUrl(schemes: BrokerSchemes, example: string) {
  const names = Object.keys(schemes);
  return mayHoldPlaceholders(
    z.string().refine(
      orPlaceholder((text) => {
        const url = URL.canParse(text) ? new URL(text) : null;
        return url !== null && names.includes(url.protocol.slice(0, -1)) && url.hostname !== '' && url.search === '';
      }),
      `expected an address such as ${example}, with ${names.join(' or ')}`,
    ),
  ).meta(mark({ secret: 'receiver' }));
}

interface BrokerSettings {
  readonly url: string;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/** Where a broker is, and how to sign in. */
export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
  /** After the host, without slashes around it; often empty. */
  readonly path: string;
  readonly user?: string;
  readonly password?: string;
  /** Null without TLS. A mail server has it also where the connection begins without. */
  readonly tls: TlsFiles | null;
  /** Whether the connection begins with TLS. */
  readonly isTls: boolean;
  /** For messages: without user and password. */
  readonly shownUrl: string;
}

interface TlsFiles {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/**
 * Reads the address of a broker and the files that it needs.
 *
 * @throws CONFIG_INVALID, also if a file cannot be read.
 */
export function brokerAddress(id: string, settings: BrokerSettings, schemes: BrokerSchemes): BrokerAddress {
  const problem = brokerProblem(settings, schemes);
  if (problem !== null) throw new SightlineError('CONFIG_INVALID', `sink ${id}: ${problem}`, { sink: id });
  const url = new URL(settings.url);
  const { user = decoded(url.username), password = decoded(url.password) } = settings;
  const scheme = url.protocol.slice(0, -1);
  const isTls = hasTls(scheme, schemes);
  const port = url.port === '' ? schemes[scheme]! : Number(url.port);
  return {
    // A URL has an IPv6 address in brackets, a socket takes it without.
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port,
    path: url.pathname.replace(/^\/+|\/+$/g, ''),
    ...(user === '' ? {} : { user }),
    ...(password === '' ? {} : { password }),
    tls: isTls || hasStartTls(schemes) ? tlsFiles(id, settings) : null,
    isTls,
    shownUrl: `${scheme}://${url.hostname}:${port}`,
  };
}

/** Returns why an address and its files do not fit together; null if they do, or if that is not known yet. */
export function brokerProblem(settings: BrokerSettings, schemes: BrokerSchemes): string | null {
  const { url, certFile, keyFile } = settings;
  if ((certFile === undefined) !== (keyFile === undefined)) return 'certFile: expected keyFile with it';
  if (hasPlaceholder(url)) return null;
  const names = Object.keys(schemes);
  if (!URL.canParse(url)) return `url: expected an address with ${names.join(' or ')}`;
  const isSecure = hasTls(new URL(url).protocol.slice(0, -1), schemes);
  const file = (['caFile', 'certFile'] as const).find((key) => settings[key] !== undefined);
  return isSecure || file === undefined || hasStartTls(schemes)
    ? null
    : `${file}: expected a url that begins with ${names[1]}://`;
}

function hasTls(scheme: string, schemes: BrokerSchemes): boolean {
  return Object.keys(schemes)[1] === scheme;
}

/** Such a server offers TLS on a connection that begins without. */
function hasStartTls(schemes: BrokerSchemes): boolean {
  return 'smtp' in schemes;
}

function tlsFiles(id: string, { caFile, certFile, keyFile }: BrokerSettings): TlsFiles {
  const textOf = (path: string): string =>
    readGivenTextSync(path, { code: 'CONFIG_INVALID', as: `sink ${id}: ${path}`, mostBytes: MOST_BYTES.settings });
  return {
    ...(caFile === undefined ? {} : { ca: readAuthorities(caFile, `sink ${id}`) }),
    ...(certFile === undefined ? {} : { cert: textOf(certFile) }),
    ...(keyFile === undefined ? {} : { key: textOf(keyFile) }),
  };
}
