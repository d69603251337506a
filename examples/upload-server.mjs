// An HTTP server that says what is in uploaded pictures. Requests that come at the same time share batches.
//   node examples/upload-server.mjs 8090
//   curl --data-binary @photo.jpg http://127.0.0.1:8090/
import { createServer } from 'node:http';
import { Sightline, SightlineError } from 'sightline';

const MOST_BYTES = 20_000_000;
const engine = await Sightline.open({ env: process.env });

/** @param {import('node:http').IncomingMessage} request */
async function readBody(request) {
  const chunks = [];
  let bytes = 0;
  // Without this, leaving the loop would cut the connection before the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw new SightlineError('LIMIT_REACHED', `expected at most ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const server = createServer(async (request, response) => {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  try {
    const found = await engine.detect(await readBody(request), { signal: gone.signal });
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(found));
  } catch (error) {
    // The client has left, maybe in the middle of its upload.
    if (request.socket.destroyed) return;
    if (!(error instanceof SightlineError)) throw error;
    const headers = { 'content-type': 'application/json', connection: 'close' };
    response.writeHead(400, headers).end(JSON.stringify(error.toWire()));
  }
});
server.listen(Number(process.argv[2] ?? 8090), '127.0.0.1', () => console.log('ready', server.address()));

process.once('SIGINT', async () => {
  server.close();
  server.closeAllConnections();
  await engine.close();
});
