import { type AddressInfo, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** A mail server as RFC 5321 has it. @param answer - to the end of a mail. */
export async function serveMail(
  answer: (mails: number) => string,
): Promise<{ url: string; mails: string[]; sessions: string[] }> {
  const mails: string[] = [];
  const sockets = new Set<Socket>();
  const sessions: string[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    let [text, isData] = ['', false];
    const say = (line: string): void => void socket.write(`${line}\r\n`);
    say('220 mail.test ESMTP');
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      text += chunk.toString();
      for (;;) {
        const end = text.indexOf(isData ? '\r\n.\r\n' : '\r\n');
        if (end === -1) return;
        const part = text.slice(0, end);
        text = text.slice(end + (isData ? 5 : 2));
        if (isData) {
          isData = false;
          mails.push(part);
          say(answer(mails.length));
          continue;
        }
        sessions.push(part);
        const verb = part.slice(0, 4).toUpperCase();
        isData = verb === 'DATA';
        say(isData ? '354 go on' : verb === 'QUIT' ? '221 bye' : '250 mail.test');
      }
    });
  });
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`, mails, sessions };
}
