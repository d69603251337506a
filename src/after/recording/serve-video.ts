import { randomUUID } from 'node:crypto';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { listenLocally } from '../../frame/source/open/listen-locally.ts';

/**
 * Lends a video that is made while it is read to the ffmpeg of this process, without a copy on disk.
 *
 * @param make - makes it anew for each reader.
 * @param use - gets its address, which holds until it ends.
 * @throws what `make` or `use` throws.
 */
export async function serveVideo<T>(
  name: string,
  make: () => AsyncIterable<Buffer>,
  use: (url: string) => Promise<T>,
): Promise<T> {
  const path = `/${randomUUID()}/${encodeURIComponent(name)}.mp4`;
  let failure: unknown = null;
  async function* made(response: ServerResponse): AsyncGenerator<Buffer> {
    try {
      yield* make();
    } catch (error) {
      // A reader may leave at any moment.
      if (!response.destroyed) failure ??= error;
      throw error;
    }
  }
  const server = createServer((request, response) => {
    if (request.url !== path) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': 'video/mp4' });
    pipeline(Readable.from(made(response), { objectMode: false }), response).catch(() => undefined);
  });
  await listenLocally(server);
  try {
    const used = await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`);
    if (failure !== null) throw failure;
    return used;
  } finally {
    server.close();
    server.closeAllConnections();
  }
}
