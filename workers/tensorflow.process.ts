import { Socket, type SocketConstructorOpts } from 'node:net';
import { adoptFetchedPackages } from '../src/base/process/fetched-packages.ts';
import { ChildServer } from '../src/frame/infer/tensorflow/child-server.ts';

/**
 * TensorFlow in its own process, connected by the pipe on descriptor 3. Environment variables for the library must be set on
 * the main thread before it is loaded: threads only have a copy of the environment.
 */
const PIPE = 3;
adoptFetchedPackages(process.argv[2]);
// Without a listener, SIGUSR1 opens Node's debugger.
process.on('SIGUSR1', () => undefined);

// Without this TensorFlow reserves all memory of a GPU.
process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true';
// TensorFlow reports device names only in its log.
process.env.TF_CPP_MIN_LOG_LEVEL ??= '0';
// Ampere and later would round f32 to 19 bits in convolutions, but the precision reported as f32 must be f32.
process.env.NVIDIA_TF32_OVERRIDE ??= '0';

const server = new ChildServer((bytes) => socket.write(bytes));
const socket: Socket = new Socket({
  fd: PIPE,
  readable: true,
  writable: true,
  onread: {
    buffer: () => server.reader.target(),
    callback: (bytes: number) => {
      server.reader.filled(bytes);
      return true;
    },
  },
} as SocketConstructorOpts);
// The parent has ended or closed the pipe. Kills itself, since an orderly exit would wait for a device that may hang.
socket.once('close', () => process.kill(process.pid, 'SIGKILL'));
socket.on('error', () => socket.destroy());
socket.read(0);
