/**
 * Receivers that answer with what no client should have to read, each on a port of its own; prints the ports as JSON, by name. Runs in a
 * process of its own, so that what it writes costs its reader alone. A line on standard input prints the bytes that each has written.
 */
import { createServer } from 'node:net';

const CHUNK = 256 * 1024;
const written = {};

/** Writes a chunk again and again, as fast as it is read, until the connection ends. */
function flood(name, socket, chunk) {
  const bytes = Buffer.from(chunk);
  const more = () => {
    while (!socket.destroyed) {
      written[name] += bytes.length;
      if (!socket.write(bytes)) return;
    }
  };
  socket.on('drain', more);
  more();
}

/** Writes a text byte by byte, again and again. */
function trickle(name, socket, text) {
  let at = 0;
  const timer = setInterval(() => {
    written[name] += 1;
    socket.write(text[at++ % text.length]);
  }, 20);
  socket.on('close', () => clearInterval(timer));
}

const filled = (text) => text.repeat(Math.ceil(CHUNK / text.length));
const INFO = `INFO {"server_id":"a","version":"2.10.0","max_payload":1048576,"headers":true,"proto":1}\r\n`;
const CONNACK = Buffer.from([0x20, 3, 0, 0, 0]);
const PUBLISH = Buffer.from([0x30, 5, 0, 1, 0x61, 0, 0x78]);

/** What each does with a connection once it has read the first bytes, or at once where the server speaks first. */
const RECEIVERS = {
  'redis-bulk': (socket, name) => {
    socket.write('$536870912\r\n');
    flood(name, socket, Buffer.alloc(CHUNK, 0x78));
  },
  'redis-nonsense': (socket, name) => flood(name, socket, filled('+OK\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n')),
  'redis-nested': (socket, name) => flood(name, socket, filled('*1\r\n')),
  'mqtt-publish': (socket, name) => {
    socket.write(CONNACK);
    flood(name, socket, Buffer.concat(Array(Math.ceil(CHUNK / PUBLISH.length)).fill(PUBLISH)));
  },
  'mqtt-garbage': (socket, name) => flood(name, socket, Buffer.from(filled('\xf0\x00\x01\x99'), 'latin1')),
  'nats-info': (socket, name) => {
    socket.write('INFO {"server_id":"');
    flood(name, socket, Buffer.alloc(CHUNK, 0x78));
  },
  'nats-pings': (socket, name) => {
    socket.write(INFO);
    socket.write('PONG\r\n');
    flood(name, socket, filled('PING\r\n'));
  },
  'mail-greeting': (socket, name) => flood(name, socket, filled('220-mail.test is glad to see you\r\n')),
  'kafka-huge': (socket, name) => {
    socket.write(Buffer.from([0x7f, 0xff, 0xff, 0xff]));
    flood(name, socket, Buffer.alloc(CHUNK));
  },
  'web-headers': (socket, name) => {
    socket.write('HTTP/1.1 200 OK\r\n');
    flood(name, socket, filled('x-more: and more\r\n'));
  },
  'web-body': (socket, name) => {
    socket.write('HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n');
    flood(name, socket, filled('1\r\nx\r\n'));
  },
  'web-early': (socket, name) => flood(name, socket, filled('HTTP/1.1 100 Continue\r\n\r\n')),
  'web-trickle': (socket, name) => trickle(name, socket, 'HTTP/1.1 200 OK\r\nx: y\r\n'),
};
const SPEAK_FIRST = /^(?:nats|mail)/;

const ports = {};
for (const [name, answer] of Object.entries(RECEIVERS)) {
  written[name] = 0;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (SPEAK_FIRST.test(name)) answer(socket, name);
    else socket.once('data', () => answer(socket, name));
    socket.resume();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  ports[name] = server.address().port;
}
console.log(JSON.stringify(ports));
process.stdin.on('data', () => console.log(JSON.stringify(written)));
process.stdin.on('end', () => process.exit());
