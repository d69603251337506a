import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { GatewayApi } from '../client/gateway-api.ts';
import { readAuthorities } from '../disk/read-authorities.ts';
import { type GatewayAddress, requestGateway } from '../gateway/request-gateway.ts';
import { type CliIo, JSON_FLAG, type JsonFlag, wrongCommand } from './cli-io.ts';

export const DEFAULT_GATEWAY_URL = 'http://127.0.0.1:8080';
/** Starting a roll-out hashes the files of a network first. */
const TIMEOUT_MS = 60_000;

export interface AccessFlags {
  readonly tokenFile?: string;
  readonly ca?: string;
}

export interface GatewayFlags extends AccessFlags, JsonFlag {
  readonly url: string;
}

/** Adds the flags of commands that talk to a running host, and print what it answers. */
export function addGatewayFlags(command: Command): Command {
  return addAccessFlags(command.option('--url <url>', 'gateway of a running host', DEFAULT_GATEWAY_URL)).option(
    ...JSON_FLAG,
  );
}

/** Adds the flags for tokens and certificates. A token itself is no flag: every user of the machine could read it. */
export function addAccessFlags(command: Command): Command {
  return command
    .option('--token-file <file>', 'file with the token of the gateway (default: SIGHTLINE_TOKEN)')
    .option('--ca <file>', "PEM file of the authority of the gateway's certificate (or NODE_EXTRA_CA_CERTS)");
}

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
