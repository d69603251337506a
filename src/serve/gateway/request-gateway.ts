import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { rootCertificates } from 'node:tls';
import { SightlineError } from '../../base/errors/sightline-error.ts';
import { type GatewayRequest, readReply, unreachable } from '../../wire/client/send-request.ts';

/** Address of a gateway, and the credentials for it. */
export interface GatewayAddress {
  readonly url: string;
  readonly token: string | null;
  /** PEM text of certificate authorities that are trusted beside the usual ones; null: only those. */
  readonly ca: string | null;
}

/** The longest replies are lists of events; one that goes on is of no gateway. */
const MOST_REPLY_CHARS = 64 * 1024 * 1024;

interface Reply {
  readonly status: number;
  readonly text: string;
}

/**
 * Sends one request to a gateway over HTTP or HTTPS. `fetch` has no way to name a certificate authority.
 *
 * @returns the parsed reply; null if it is empty.
 * @throws the gateway's own error; GATEWAY_UNREACHABLE; COMMAND_INVALID for an invalid URL.
 */
export async function requestGateway(address: GatewayAddress, request: GatewayRequest): Promise<unknown> {
  const { url } = address;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new SightlineError(
      'COMMAND_INVALID',
      `--url: expected an address such as http://127.0.0.1:8080, received "${url}"`,
    );
  let reply: Reply;
  try {
    reply = await send(address, request);
  } catch (error) {
    request.signal?.throwIfAborted();
    const { message, code = '' } = error as NodeJS.ErrnoException;
    throw unreachable(url, `expected a gateway that answers, received: ${message === '' ? code : message}`);
  }
  return readReply(reply.status, reply.text, request, url);
}

function send(
  { url, token, ca }: GatewayAddress,
  { method, path, body, signal, etag }: GatewayRequest,
): Promise<Reply> {
  // A gateway behind a proxy can have a path of its own.
  const target = new URL(path.slice(1), url.endsWith('/') ? url : `${url}/`);
  const text = body === undefined ? null : JSON.stringify(body);
  const options = {
    method,
    ...(signal === undefined ? {} : { signal }),
    headers: {
      accept: 'application/json',
      ...(token === null || token === '' ? {} : { authorization: `Bearer ${token}` }),
      ...(text === null ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
      ...(etag === undefined ? {} : { 'if-match': `"${etag}"` }),
    },
    // Without one of our own, Node.js uses its roots and NODE_EXTRA_CA_CERTS.
    ...(ca === null ? {} : { ca: [...rootCertificates, ca] }),
  };
  return new Promise((resolve, reject) => {
    const start = target.protocol === 'https:' ? requestHttps : requestHttp;
    const sent = start(target, options, (response) => readAll(response).then(resolve, reject));
    sent.on('error', reject);
    sent.end(text ?? undefined);
  });
}

async function readAll(response: IncomingMessage): Promise<Reply> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) {
    text += chunk as string;
    if (text.length > MOST_REPLY_CHARS) throw new Error(`a reply of more than ${MOST_REPLY_CHARS} characters`);
  }
  return { status: response.statusCode ?? 0, text };
}
