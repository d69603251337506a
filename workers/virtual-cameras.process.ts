import { SightlineError } from '../src/base/errors/sightline-error.ts';
import type { CameraCall, CameraReply, CameraRequest } from '../src/lab/loadtest/cameras/camera-process.ts';
import { CameraServer } from '../src/lab/loadtest/cameras/camera-server.ts';

/** Runs virtual cameras until the parent ends or disconnects. */
let server: CameraServer | null = null;
// Without a listener, SIGUSR1 opens Node's debugger.
process.on('SIGUSR1', () => undefined);

async function answer(request: CameraRequest): Promise<unknown> {
  if (request.type === 'open') {
    server = await CameraServer.open(request.ffmpeg, request.host);
    return server.ports;
  }
  if (server === null) throw new SightlineError('INTERNAL_ERROR', 'the cameras are not open');
  switch (request.type) {
    case 'add':
      return server.add(request.cameras);
    case 'remove':
      return server.remove(request.ids);
    case 'stats':
      return server.stats();
  }
}

process.on('message', ({ call, request }: CameraCall) => {
  const send = (reply: CameraReply): void => void process.send?.(reply, () => undefined);
  answer(request).then(
    (result) => send({ call, answer: result ?? null }),
    (error: unknown) => send({ call, error: SightlineError.from(error, 'INTERNAL_ERROR').toWire() }),
  );
});
process.once('disconnect', () => {
  server?.close();
  process.exit(0);
});
// A Ctrl-C in a terminal reaches the whole group; the parent ends the cameras after its streams.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
