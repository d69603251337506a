import { Socket, type SocketConstructorOpts } from 'node:net';
import { ChildServer } from '../src/infer/tensorflow/child-server.ts';

/**
 * TensorFlow in a process of its own, at the far end of the pipe on descriptor 3. What the library reads from the
 * environment must be set before it is loaded, on the main thread: threads have only a copy of the environment.
 */
const PIPE = 3;
// Else it takes all the memory of a GPU.
process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= 'true';
// The names of devices are told in the log alone.
process.env.TF_CPP_MIN_LOG_LEVEL ??= '0';
// Ampere and later would round f32 to 19 bits in convolutions: what is reported as f32 is to be f32.
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
// Whoever started this is gone or done. An orderly exit would wait for a device that may hang.
socket.once('close', () => process.kill(process.pid, 'SIGKILL'));
socket.on('error', () => socket.destroy());
socket.read(0);
