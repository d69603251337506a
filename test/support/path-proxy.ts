import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from 'node:net';
import { onTestFinished } from 'vitest';

interface ProxyOptions {
  /** Path below which the gateway is served, such as `/cams`. */
  readonly path: string;
  /** Removes the path from what it passes on. */
  readonly removesPath?: boolean;
  /** Sends the gateway's own name as `Host`, as nginx does by default. */
  readonly changesHost?: boolean;
}

/** Starts a reverse proxy in front of a gateway; it is closed after the test. @returns its origin. */
export async function openProxy(gatewayUrl: string, options: ProxyOptions): Promise<string> {
  const { port } = new URL(gatewayUrl);
  const { path, removesPath = false, changesHost = false } = options;
  const sockets = new Set<Socket>();
  const targetOf = ({ url = '' }: IncomingMessage): string => (removesPath ? url.slice(path.length) : url);
  const headersOf = ({ headers }: IncomingMessage): IncomingMessage['headers'] =>
    changesHost ? { ...headers, host: `127.0.0.1:${port}` } : headers;
  const server = createServer((incoming, reply) => {
    if (incoming.url?.startsWith(path) !== true) return void reply.writeHead(404).end('another application');
    const { method } = incoming;
    const passed = request({ port, method, path: targetOf(incoming), headers: headersOf(incoming) }, (answer) => {
      reply.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(reply);
    });
    passed.on('error', () => reply.destroy());
    incoming.pipe(passed);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (incoming, client) => {
    const gateway = connect(Number(port), '127.0.0.1');
    const headers = Object.entries(headersOf(incoming)).map(([name, value]) => `${name}: ${value}\r\n`);
    gateway.write(`GET ${targetOf(incoming)} HTTP/1.1\r\n${headers.join('')}\r\n`);
    client.pipe(gateway).pipe(client);
    gateway.on('error', () => client.destroy());
    client.on('error', () => gateway.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
