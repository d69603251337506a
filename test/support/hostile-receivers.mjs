/**
 * Receivers that answer with what no client should have to read, each on a port of its own; prints the ports as JSON, by name. Runs in a
 * process of its own, so that what it writes costs its reader alone, until its standard input ends.
 */
import { createServer } from 'node:net';

const CHUNK = 256 * 1024;

/** Writes a chunk again and again, as fast as it is read, until the connection ends. */
function flood(socket, chunk) {
  const bytes = Buffer.from(chunk);
  const more = () => {
    while (!socket.destroyed && socket.write(bytes));
  };
  socket.on('drain', more);
  more();
}

/** Writes a text byte by byte, again and again. */
function trickle(socket, text) {
  let at = 0;
  const timer = setInterval(() => socket.write(text[at++ % text.length]), 20);
  socket.on('close', () => clearInterval(timer));
}

const filled = (text) => text.repeat(Math.ceil(CHUNK / text.length));
const INFO = `INFO {"server_id":"a","version":"2.10.0","max_payload":1048576,"headers":true,"proto":1}\r\n`;
const CONNACK = Buffer.from([0x20, 3, 0, 0, 0]);
const PUBLISH = Buffer.from([0x30, 5, 0, 1, 0x61, 0, 0x78]);

/** What each does with a connection once it has read the first bytes, or at once where the server speaks first. */
const RECEIVERS = {
  'redis-bulk': (socket) => {
    socket.write('$536870912\r\n');
    flood(socket, Buffer.alloc(CHUNK, 0x78));
  },
  'redis-nonsense': (socket) => flood(socket, filled('+OK\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n')),
  'redis-nested': (socket) => flood(socket, filled('*1\r\n')),
  'mqtt-publish': (socket) => {
    socket.write(CONNACK);
    flood(socket, Buffer.concat(Array(Math.ceil(CHUNK / PUBLISH.length)).fill(PUBLISH)));
  },
  'mqtt-garbage': (socket) => flood(socket, Buffer.from(filled('\xf0\x00\x01\x99'), 'latin1')),
  'nats-info': (socket) => {
    socket.write('INFO {"server_id":"');
    flood(socket, Buffer.alloc(CHUNK, 0x78));
  },
  'nats-pings': (socket) => {
    socket.write(INFO);
    socket.write('PONG\r\n');
    flood(socket, filled('PING\r\n'));
  },
  'mail-greeting': (socket) => flood(socket, filled('220-mail.test is glad to see you\r\n')),
  'kafka-huge': (socket) => {
    socket.write(Buffer.from([0x7f, 0xff, 0xff, 0xff]));
    flood(socket, Buffer.alloc(CHUNK));
  },
  'web-headers': (socket) => {
    socket.write('HTTP/1.1 200 OK\r\n');
    flood(socket, filled('x-more: and more\r\n'));
  },
  'web-body': (socket) => {
    socket.write('HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n');
    flood(socket, filled('1\r\nx\r\n'));
  },
  'web-early': (socket) => flood(socket, filled('HTTP/1.1 100 Continue\r\n\r\n')),
  'web-trickle': (socket) => trickle(socket, 'HTTP/1.1 200 OK\r\nx: y\r\n'),
};
const SPEAK_FIRST = /^(?:nats|mail)/;

const ports = {};
for (const [name, answer] of Object.entries(RECEIVERS)) {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (SPEAK_FIRST.test(name)) answer(socket);
    else socket.once('data', () => answer(socket));
    socket.resume();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  ports[name] = server.address().port;
}
console.log(JSON.stringify(ports));
process.stdin.resume();
process.stdin.on('end', () => process.exit());
