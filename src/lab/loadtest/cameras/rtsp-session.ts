import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import type { CodedFrame } from './flv-reader.ts';
import type { CameraReader, VirtualCamera } from './virtual-camera.ts';

/** A reader over TCP that has not taken this much loses frames. */
export const MAX_UNREAD_BYTES = 512 * 1024;
const MAX_REQUEST_BYTES = 16 * 1024;
const METHODS = 'OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER';

/** A camera that can be played, and the key frame that describes its stream. */
export interface PlayableCamera {
  readonly camera: VirtualCamera;
  readonly keyFrame: CodedFrame;
}

/**
 * One client of a virtual camera over RTSP 1.0 (RFC 2326): one H.264 track, over the same TCP connection or over UDP. Only
 * what players need; there is no RTCP.
 */
export class RtspSession implements CameraReader {
  readonly #socket: Socket;
  readonly #find: (id: string) => PlayableCamera | null;
  readonly #rtp: RtpWriter;
  readonly #id: string;
  #input: Buffer = Buffer.alloc(0);
  #camera: VirtualCamera | null = null;
  #channel: number | null = null;
  #udp: { readonly socket: UdpSocket; readonly port: number } | null = null;

  constructor(socket: Socket, id: number, find: (id: string) => PlayableCamera | null) {
    this.#socket = socket;
    this.#find = find;
    this.#id = String(id);
    this.#rtp = new RtpWriter(id);
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => void this.#onData(chunk));
    socket.once('close', () => this.#release());
  }

  take(frame: CodedFrame, pts: number): boolean {
    const packets = this.#rtp.frame(frame, pts);
    if (this.#udp !== null) {
      const { socket, port } = this.#udp;
      for (const packet of packets) socket.send(packet, port, this.#socket.remoteAddress!);
      return true;
    }
    if (this.#socket.writableLength > MAX_UNREAD_BYTES) return false;
    const framed = packets.flatMap((packet) => {
      const head = Buffer.from([0x24, this.#channel ?? 0, packet.length >> 8, packet.length & 0xff]);
      return [head, packet];
    });
    this.#socket.write(Buffer.concat(framed));
    return true;
  }

  end(): void {
    this.#socket.destroy();
  }

  #release(): void {
    this.#camera?.removeReader(this);
    this.#udp?.socket.close();
    this.#udp = null;
  }

  async #onData(chunk: Buffer): Promise<void> {
    this.#input = Buffer.concat([this.#input, chunk]);
    if (this.#input.length > MAX_REQUEST_BYTES) return this.end();
    for (;;) {
      // Packets of the player's RTCP.
      if (this.#input[0] === 0x24) {
        if (this.#input.length < 4) return;
        const bytes = 4 + this.#input.readUInt16BE(2);
        if (this.#input.length < bytes) return;
        this.#input = this.#input.subarray(bytes);
        continue;
      }
      const end = this.#input.indexOf('\r\n\r\n');
      if (end < 0) return;
      const request = this.#input.toString('latin1', 0, end);
      this.#input = this.#input.subarray(end + 4);
      await this.#answer(request);
    }
  }

  async #answer(request: string): Promise<void> {
    const [method = '', url = ''] = request.split(' ');
    const header = (name: string): string => new RegExp(`^${name}: *(.*)$`, 'im').exec(request)?.[1]?.trim() ?? '';
    const reply = (status: string, lines: readonly string[] = [], body = ''): void => {
      const length = body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
      const head = [`RTSP/1.0 ${status}`, `CSeq: ${header('CSeq')}`, `Session: ${this.#id};timeout=3600`];
      this.#socket.write(`${[...head, ...lines, ...length].join('\r\n')}\r\n\r\n${body}`);
    };
    const found = this.#find(decodeURIComponent(new URL(url, 'rtsp://camera').pathname.split('/')[1] ?? ''));
    if (method === 'OPTIONS') return reply('200 OK', [`Public: ${METHODS}`]);
    if (found === null || found.camera.isAway) return reply('404 Not Found');
    switch (method) {
      case 'DESCRIBE': {
        const lines = ['Content-Type: application/sdp', `Content-Base: ${url.replace(/\/?$/, '/')}`];
        return reply('200 OK', lines, sessionDescription(found.keyFrame, found.camera.spec.fps));
      }
      case 'SETUP': {
        const transport = await this.#setUp(header('Transport'));
        return transport === null ? reply('461 Unsupported Transport') : reply('200 OK', [`Transport: ${transport}`]);
      }
      case 'PLAY':
        reply('200 OK', ['Range: npt=0.000-']);
        this.#camera = found.camera;
        return found.camera.addReader(this);
      case 'TEARDOWN':
        reply('200 OK');
        return this.#release();
      case 'PAUSE':
      case 'GET_PARAMETER':
        return reply('200 OK');
      default:
        return reply('405 Method Not Allowed', [`Allow: ${METHODS}`]);
    }
  }

  /** @returns the transport as agreed; null if it is neither. */
  async #setUp(wanted: string): Promise<string | null> {
    const channel = /interleaved=(\d+)/.exec(wanted)?.[1];
    if (/RTP\/AVP\/TCP/i.test(wanted)) {
      this.#channel = Number(channel ?? 0);
      return `RTP/AVP/TCP;unicast;interleaved=${this.#channel}-${this.#channel + 1}`;
    }
    const port = /client_port=(\d+)/.exec(wanted)?.[1];
    if (port === undefined) return null;
    const socket = createSocket('udp4');
    socket.on('error', () => undefined);
    await new Promise<void>((resolve) => socket.bind(0, resolve));
    this.#udp = { socket, port: Number(port) };
    const own = socket.address().port;
    return `RTP/AVP;unicast;client_port=${port}-${Number(port) + 1};server_port=${own}-${own + 1}`;
  }
}

const MAX_PAYLOAD_BYTES = 1_400;
const PAYLOAD_TYPE = 96;
const FU_A = 28;

/** Packs H.264 into RTP for one reader (RFC 6184: single NAL units and FU-A). The last packet of a picture is marked. */
export class RtpWriter {
  #sequence: number;
  readonly #source: number;

  /** @param seed - chooses the first sequence number and the source id. */
  constructor(seed: number) {
    this.#sequence = seed & 0xffff;
    this.#source = seed >>> 0;
  }

  /** @param pts - in ticks of 90 kHz. */
  frame({ units }: CodedFrame, pts: number): Buffer[] {
    return units.flatMap((unit, i) => this.#unit(unit, pts, i === units.length - 1));
  }

  #unit(unit: Buffer, pts: number, isLast: boolean): Buffer[] {
    if (unit.length <= MAX_PAYLOAD_BYTES) return [this.#packet([unit], pts, isLast)];
    const packets: Buffer[] = [];
    const indicator = (unit[0]! & 0xe0) | FU_A;
    for (let at = 1; at < unit.length; at += MAX_PAYLOAD_BYTES) {
      const isEnd = at + MAX_PAYLOAD_BYTES >= unit.length;
      const header = (at === 1 ? 0x80 : 0) | (isEnd ? 0x40 : 0) | (unit[0]! & 0x1f);
      const chunk = unit.subarray(at, at + MAX_PAYLOAD_BYTES);
      packets.push(this.#packet([Buffer.from([indicator, header]), chunk], pts, isLast && isEnd));
    }
    return packets;
  }

  #packet(payload: readonly Buffer[], pts: number, isMarked: boolean): Buffer {
    const head = Buffer.alloc(12);
    head[0] = 0x80;
    head[1] = (isMarked ? 0x80 : 0) | PAYLOAD_TYPE;
    head.writeUInt16BE(this.#sequence, 2);
    head.writeUInt32BE(pts % 2 ** 32, 4);
    head.writeUInt32BE(this.#source, 8);
    this.#sequence = (this.#sequence + 1) & 0xffff;
    return Buffer.concat([head, ...payload]);
  }
}

/** Describes a camera's stream (RFC 8866, RFC 6184 section 8.2.1). */
function sessionDescription({ units }: CodedFrame, fps: number): string {
  const set = (type: number): Buffer | undefined => units.find((unit) => (unit[0]! & 0x1f) === type);
  const [sps, pps] = [set(7), set(8)];
  if (sps === undefined || pps === undefined) throw new RangeError('the first frame has no parameter sets');
  const sets = `${sps.toString('base64')},${pps.toString('base64')}`;
  return [
    ...['v=0', 'o=- 0 0 IN IP4 127.0.0.1', 's=camera', 'c=IN IP4 0.0.0.0', 't=0 0', 'a=control:*'],
    `m=video 0 RTP/AVP ${PAYLOAD_TYPE}`,
    `a=rtpmap:${PAYLOAD_TYPE} H264/90000`,
    `a=fmtp:${PAYLOAD_TYPE} packetization-mode=1;profile-level-id=${sps.toString('hex', 1, 4)};sprop-parameter-sets=${sets}`,
    ...[`a=framerate:${fps}`, 'a=control:track', ''],
  ].join('\r\n');
}
