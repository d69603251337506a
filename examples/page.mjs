// A page of your own on the feed: serves page.html, and the gateway at the same origin, as a proxy in front of both does.
//   node examples/page.mjs rtsp://user:password@192.168.1.20/stream 8090
import { readFile } from 'node:fs/promises';
import { createServer, request as send } from 'node:http';
import { Sightline } from 'sightline';

const [source = 'demo', port = '8090'] = process.argv.slice(2);
const engine = await Sightline.open({
  env: process.env,
  onNotice: (text) => console.error(text),
  streams: [{ id: 'camera', source, maxFps: 10, track: {} }],
});
const gateway = await engine.serve({ port: 0 });

/** @param {import('node:http').IncomingMessage} request */
const forward = ({ url, method, headers }) => send(new URL(url ?? '/', gateway.url), { method, headers });

const server = createServer(async (request, response) => {
  if (request.url === '/') {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    return response.end(await readFile(new URL('page.html', import.meta.url)));
  }
  const forwarded = forward(request);
  forwarded.once('error', () => response.destroy());
  forwarded.once('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  request.pipe(forwarded);
});
server.on('upgrade', (request, socket) => {
  const forwarded = forward(request);
  forwarded.once('error', () => socket.destroy());
  forwarded.once('response', () => socket.destroy());
  forwarded.once('upgrade', ({ rawHeaders }, far, first) => {
    const pairs = rawHeaders.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`));
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${pairs.join('')}\r\n`);
    socket.write(first);
    far.pipe(socket).pipe(far);
    far.once('error', () => socket.destroy());
    socket.once('error', () => far.destroy());
  });
  forwarded.end();
});
server.listen(Number(port), '127.0.0.1', () => console.log('ready', server.address()));

process.once('SIGINT', async () => {
  server.close();
  server.closeAllConnections();
  await engine.close();
});
