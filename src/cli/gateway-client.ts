import type { Command } from 'commander';
import { ERROR_CODES } from '../errors/error-codes.ts';
import { SightlineError, type WireError } from '../errors/sightline-error.ts';
import type { CliIo } from './cli-io.ts';

const DEFAULT_URL = 'http://127.0.0.1:8080';
/** Starting a roll-out hashes the files of a network first. */
const TIMEOUT_MS = 60_000;

export interface GatewayFlags {
  readonly url: string;
  readonly token?: string;
}

/** Adds the flags of commands that talk to a running host. */
export function addGatewayFlags(command: Command): Command {
  return command
    .option('--url <url>', 'gateway of a running host', DEFAULT_URL)
    .option('--token <token>', 'its token (default: SIGHTLINE_TOKEN)');
}

/**
 * Sends one request to a gateway.
 *
 * @param path - with a leading slash, such as `/api/rollouts`.
 * @returns the parsed reply.
 * @throws the gateway's own error; GATEWAY_UNREACHABLE; COMMAND_INVALID for a URL that is none.
 */
export async function askGateway(
  io: CliIo,
  { url, token = io.environment.token }: GatewayFlags,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<unknown> {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new SightlineError('COMMAND_INVALID', `--url: expected an address such as ${DEFAULT_URL}, received "${url}"`);
  const headers: Record<string, string> = { accept: 'application/json' };
  if (token !== undefined && token !== '') headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers['content-type'] = 'application/json';
  let response: Response;
  let text: string;
  try {
    response = await fetch(new URL(path, url), {
      method,
      headers,
      signal: AbortSignal.any([io.stop, AbortSignal.timeout(TIMEOUT_MS)]),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    text = await response.text();
  } catch (error) {
    const { cause, message } = error as Error;
    const why = cause instanceof Error && cause.message !== '' ? cause.message : message;
    throw new SightlineError('GATEWAY_UNREACHABLE', `${url}: expected a gateway that answers, received: ${why}`, {
      url,
    });
  }
  const reply = parsed(text);
  if (response.ok && reply !== undefined) return reply;
  throw refusal(reply) ?? notGateway(url, response.status);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refusal(reply: unknown): SightlineError | null {
  const { code, message, details } = (reply as { error?: Partial<WireError> } | null | undefined)?.error ?? {};
  if (code === undefined || message === undefined || !(code in ERROR_CODES)) return null;
  return SightlineError.fromWire({ code, message, ...(details === undefined ? {} : { details }) });
}

function notGateway(url: string, status: number): SightlineError {
  return new SightlineError('GATEWAY_UNREACHABLE', `${url}: expected a gateway of Sightline, received HTTP ${status}`, {
    url,
    status,
  });
}
