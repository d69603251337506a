import { randomUUID } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { NetworkList } from '../network-list.ts';
import { childOf, listOf, soapParts, textAt } from './soap.ts';

const GROUP = '239.255.255.250';
const PORT = 3702;
/** The question is sent again, since datagrams are lost. */
const AGAIN_MS = 500;
const MOST_DEVICES = 256;
const MOST_REPLIES = 4096;
/** Recorders and gateways answer for their cameras. */
const MOST_AT_ADDRESS = 64;

/** A device that has answered. */
export interface FoundDevice {
  /** From which it answered. */
  readonly address: string;
  /** Of its device service; null if it names only other addresses. */
  readonly url: string | null;
  /** Empty if it does not say. */
  readonly name: string;
  readonly hardware: string;
}

/**
 * Asks the networks of this machine for ONVIF cameras (WS-Discovery). Whoever answers is somebody on the network: a device is only ever
 * contacted at the address from which it answered, and only inside of `networks`.
 *
 * @param networks - in which devices may be; nothing is sent from interfaces outside of them.
 * @param waitMs - for answers.
 * @throws SOURCE_UNREACHABLE if no interface is in the networks.
 */
export async function findDevices(
  networks: NetworkList,
  waitMs: number,
  signal: AbortSignal,
  port = PORT,
): Promise<FoundDevice[]> {
  const interfaces = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const own = interfaces.filter(({ family, address }) => family === 'IPv4' && networks.has(address));
  if (own.length === 0)
    throw new SightlineError('SOURCE_UNREACHABLE', `this machine has no address in ${networks}, which may be searched`);
  const id = `uuid:${randomUUID()}`;
  const found = new Map<string, FoundDevice>();
  let replies = 0;
  const onReply = (bytes: Buffer, address: string): void => {
    replies += 1;
    if (replies > MOST_REPLIES || !networks.has(address)) return;
    for (const device of devicesOf(bytes, address, id)) {
      const key = `${address} ${device.url}`;
      const others = [...found.values()].filter((each) => each.address === address).length;
      if (found.size < MOST_DEVICES && others < MOST_AT_ADDRESS && !found.has(key)) found.set(key, device);
    }
  };
  const sockets: Socket[] = [];
  try {
    for (const { address } of own) sockets.push(await ask(address, id, port, onReply));
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      signal.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  } finally {
    for (const socket of sockets) socket.close();
  }
  const devices = [...found.values()];
  // Somebody else may have answered in its name.
  const isNamed = ({ address, url }: FoundDevice): boolean =>
    url !== null || devices.every((each) => each.address !== address || each.url === null);
  return devices.filter(isNamed).toSorted((a, b) => a.address.localeCompare(b.address, 'en', { numeric: true }));
}

async function ask(
  from: string,
  id: string,
  port: number,
  onReply: (bytes: Buffer, address: string) => void,
): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.on('message', (bytes, { address }) => onReply(bytes, address));
  // An interface without a route for groups finds nothing.
  socket.on('error', () => undefined);
  socket.bind(0, from);
  await once(socket, 'listening');
  socket.setMulticastInterface(from);
  const send = (): void => socket.send(probe(id), port, GROUP);
  send();
  const again = setTimeout(send, AGAIN_MS);
  socket.once('close', () => clearTimeout(again));
  return socket;
}

function probe(id: string): string {
  const discovery = 'http://schemas.xmlsoap.org/ws/2005/04/discovery';
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing"',
    ` xmlns:d="${discovery}" xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><e:Header>`,
    `<w:MessageID>${id}</w:MessageID><w:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>`,
    `<w:Action>${discovery}/Probe</w:Action></e:Header>`,
    '<e:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>',
  ].join('');
}

/** @returns none for what is no answer to this question. */
function devicesOf(bytes: Buffer, address: string, id: string): FoundDevice[] {
  try {
    const { header, body } = soapParts(bytes.toString('utf8'));
    if (textAt(header, 'RelatesTo') !== id) return [];
    return listOf(childOf(body, 'ProbeMatches').ProbeMatch).map((match) => deviceOf(match, address));
  } catch {
    return [];
  }
}

function deviceOf(match: Parameters<typeof textAt>[0], address: string): FoundDevice {
  const urls = textAt(match, 'XAddrs').split(/\s+/);
  const scopes = textAt(match, 'Scopes').split(/\s+/);
  const scope = (name: string): string => {
    const prefix = `onvif://www.onvif.org/${name}/`;
    const value = scopes.find((each) => each.startsWith(prefix))?.slice(prefix.length) ?? '';
    return decoded(value).slice(0, 100);
  };
  const url = urls.find((each) => isAt(each, address)) ?? null;
  return { address, url, name: scope('name'), hardware: scope('hardware') };
}

/** Returns whether an HTTP address leads to a host. */
export function isAt(url: string, address: string): boolean {
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) return false;
  return new URL(url).hostname === address;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
