import { readFileSync } from 'node:fs';
import { readAuthorities } from '../base/disk/read-authorities.ts';
import { type GatewayAddress, requestGateway } from '../serve/gateway/request-gateway.ts';
import { GatewayApi } from '../wire/client/gateway-api.ts';
import { type CliIo, JSON_FLAG, wrongCommand } from './cli-io.ts';
import { type FlagsOf, flagTable } from './flag-values.ts';

export const DEFAULT_GATEWAY_URL = 'http://127.0.0.1:8080';
/** Starting a roll-out hashes the files of a network first. */
const TIMEOUT_MS = 60_000;

/** Tokens and certificates. A token itself is no flag: every user of the machine could read it. */
export const ACCESS_FLAGS = flagTable({
  '--token-file <file>': 'file with the token of the gateway (default: SIGHTLINE_TOKEN)',
  '--ca <file>': "PEM file of the authority of the gateway's certificate (or NODE_EXTRA_CA_CERTS)",
});

/** Flags of commands that talk to a running host, and print what it answers. */
export const GATEWAY_FLAGS = flagTable({
  '--url <url>': ['gateway of a running host', DEFAULT_GATEWAY_URL],
  ...ACCESS_FLAGS,
  ...JSON_FLAG,
});

export type AccessFlags = FlagsOf<typeof ACCESS_FLAGS>;
export type GatewayFlags = FlagsOf<typeof GATEWAY_FLAGS>;

/** @throws COMMAND_INVALID if one of the flags is given without the one that it belongs to. */
export function refuseAccessFlags({ tokenFile, ca }: AccessFlags, owner: '--url' | '--fleet'): void {
  for (const [flag, value] of Object.entries({ '--token-file': tokenFile, '--ca': ca }))
    if (value !== undefined) throw wrongCommand(`${flag}: only valid with ${owner}`);
}

/** Reads the files that the flags name. @throws COMMAND_INVALID for the token's, CONFIG_INVALID for the authorities. */
export function gatewayAddress(io: CliIo, { url, tokenFile, ca }: GatewayFlags): GatewayAddress {
  const token = tokenFile === undefined ? io.environment.token : readFlagFile('--token-file', tokenFile).trim();
  return { url, token: token ?? null, ca: ca === undefined ? null : readAuthorities(ca, '--ca') };
}

/**
 * Returns the REST API of the gateway that the flags name.
 *
 * @throws as `gatewayAddress`; its requests also COMMAND_INVALID for an invalid URL.
 */
export function gatewayApi(io: CliIo, flags: GatewayFlags): GatewayApi {
  const address = gatewayAddress(io, flags);
  return new GatewayApi((request) =>
    requestGateway(address, { ...request, signal: AbortSignal.any([io.stop, AbortSignal.timeout(TIMEOUT_MS)]) }),
  );
}

function readFlagFile(flag: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw wrongCommand(`${flag} ${path}: cannot be read: ${(error as Error).message}`, {
      path,
    });
  }
}
