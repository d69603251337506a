import { once } from 'node:events';
import type { Server } from 'node:net';

/** Opens a server for the ffmpeg of this process: on a free port that only this machine reaches. It keeps no process alive. */
export async function listenLocally(server: Server): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
}
