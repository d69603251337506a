import { createHash } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const GROUP = '239.255.255.250';
const TDS = 'http://www.onvif.org/ver10/device/wsdl';
const TRT = 'http://www.onvif.org/ver10/media/wsdl';
const SCOPES =
  'onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/Front%20Door onvif://www.onvif.org/hardware/T-1000';
const SOAP = 'http://www.w3.org/2003/05/soap-envelope';

interface OnvifProfile {
  readonly token: string;
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly uri: string;
}

export interface OnvifShape {
  readonly profiles: readonly OnvifProfile[];
  readonly login?: { readonly user: string; readonly password: string };
  /** Port of the group; WS-Discovery has 3702. */
  readonly port: number;
  /** Its clock, ahead of this machine's. */
  readonly aheadMs?: number;
  /** It does not know `GetServices`. */
  readonly isOld?: boolean;
  /** Of its services, instead of its own. */
  readonly xaddr?: string;
  /** Services of others for which it answers, before its own. */
  readonly others?: readonly string[];
  readonly mediaXaddr?: string;
  /** Address that its answers to a search come from, instead of 127.0.0.1. */
  readonly answersFrom?: string;
  /** The question that it says it answers, instead of the one that was asked. */
  readonly relatesTo?: string;
  /** What it says of itself, instead of its name and hardware. */
  readonly scopes?: string;
  /** Answers each request by itself. @returns whether it did. */
  readonly answer?: (request: string, response: ServerResponse) => boolean;
}

/**
 * A camera as ONVIF describes it (core specification 21.12, media service 21.06): WS-Discovery on the loopback interface, device and media service with
 * WS-UsernameToken. Times of logins may be 5 s off, and no nonce is taken twice.
 */
export class OnvifCamera {
  readonly #shape: OnvifShape;
  readonly #server: Server;
  readonly #socket: Socket;
  readonly #nonces = new Set<string>();
  readonly requests: string[] = [];
  readonly bodies: string[] = [];

  private constructor(shape: OnvifShape, server: Server, socket: Socket) {
    this.#shape = shape;
    this.#server = server;
    this.#socket = socket;
    server.on('request', (request, response) => void this.#onRequest(request, response));
    socket.on('message', (bytes, from) => this.#onProbe(bytes.toString(), from));
  }

  static async open(shape: OnvifShape): Promise<OnvifCamera> {
    const server = createServer().listen(0, '127.0.0.1');
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    socket.bind(shape.port, GROUP);
    await Promise.all([once(server, 'listening'), once(socket, 'listening')]);
    socket.addMembership(GROUP, '127.0.0.1');
    return new OnvifCamera(shape, server, socket);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/onvif/device_service`;
  }

  /** Idempotent. */
  close(): void {
    if (!this.#server.listening) return;
    this.#socket.close();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #onProbe(text: string, from: { address: string; port: number }): void {
    const id = /<\w+:MessageID>([^<]+)</.exec(text)?.[1];
    if (id === undefined || !/Types>\w+:NetworkVideoTransmitter</.test(text)) return;
    const { xaddr = this.url, others = [], answersFrom = '127.0.0.1', relatesTo = id, scopes = SCOPES } = this.#shape;
    const matches = [...others, xaddr].map(
      (address, i) =>
        `<d:ProbeMatch><a:EndpointReference><a:Address>urn:uuid:${i}</a:Address></a:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types><d:Scopes>${scopes}</d:Scopes><d:XAddrs>${address}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch>`,
    );
    const reply = `<?xml version="1.0"?><s:Envelope xmlns:s="${SOAP}" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><s:Header><a:RelatesTo>${relatesTo}</a:RelatesTo></s:Header><s:Body><d:ProbeMatches>${matches.join('')}</d:ProbeMatches></s:Body></s:Envelope>`;
    const answer = createSocket('udp4');
    answer.bind(0, answersFrom, () => answer.send(reply, from.port, from.address, () => answer.close()));
  }

  async #onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const name = /<e:Body><(\w+)/.exec(text)?.[1] ?? '';
    this.requests.push(name);
    this.bodies.push(text);
    if (this.#shape.answer?.(name, response) === true) return;
    const send = (status: number, body: string): void => {
      response.writeHead(status, { 'content-type': 'application/soap+xml; charset=utf-8' });
      response.end(
        `<?xml version="1.0"?><s:Envelope xmlns:s="${SOAP}" xmlns:tds="${TDS}" xmlns:trt="${TRT}" xmlns:tt="http://www.onvif.org/ver10/schema"><s:Body>${body}</s:Body></s:Envelope>`,
      );
    };
    const fault = (status: number, code: string, reason: string): void =>
      send(
        status,
        `<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>${code}</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang="en">${reason}</s:Text></s:Reason></s:Fault>`,
      );
    if (name !== 'GetSystemDateAndTime' && !this.#isLoggedIn(text))
      return fault(400, 'ter:NotAuthorized', 'Sender not authorized');
    const reply = this.#replyTo(name, text);
    if (reply === null) fault(500, 'ter:ActionNotSupported', 'Optional Action Not Implemented');
    else send(200, reply);
  }

  #isLoggedIn(text: string): boolean {
    const { login, aheadMs = 0 } = this.#shape;
    if (login === undefined) return true;
    const at = (element: string): string => new RegExp(`<${element}[^>]*>([^<]*)</${element}>`).exec(text)?.[1] ?? '';
    const [nonce, created] = [at('Nonce'), at('Created')];
    const hash = createHash('sha1').update(Buffer.from(nonce, 'base64')).update(created).update(login.password);
    const isFresh = Math.abs(Date.parse(created) - Date.now() - aheadMs) < 5_000 && !this.#nonces.has(nonce);
    this.#nonces.add(nonce);
    return isFresh && at('Username') === login.user && at('Password') === hash.digest('base64');
  }

  #replyTo(name: string, text: string): string | null {
    const { profiles, isOld = false, aheadMs = 0, mediaXaddr = this.url.replace('device', 'media') } = this.#shape;
    switch (name) {
      case 'GetSystemDateAndTime': {
        const now = new Date(Date.now() + aheadMs);
        return `<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType><tt:UTCDateTime><tt:Time><tt:Hour>${now.getUTCHours()}</tt:Hour><tt:Minute>${now.getUTCMinutes()}</tt:Minute><tt:Second>${now.getUTCSeconds()}</tt:Second></tt:Time><tt:Date><tt:Year>${now.getUTCFullYear()}</tt:Year><tt:Month>${now.getUTCMonth() + 1}</tt:Month><tt:Day>${now.getUTCDate()}</tt:Day></tt:Date></tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>`;
      }
      case 'GetServices':
        if (isOld) return null;
        return `<tds:GetServicesResponse><tds:Service><tds:Namespace>${TDS}</tds:Namespace><tds:XAddr>${this.url}</tds:XAddr></tds:Service><tds:Service><tds:Namespace>${TRT}</tds:Namespace><tds:XAddr>${mediaXaddr}</tds:XAddr></tds:Service></tds:GetServicesResponse>`;
      case 'GetCapabilities':
        return `<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Media><tt:XAddr>${mediaXaddr}</tt:XAddr></tt:Media></tds:Capabilities></tds:GetCapabilitiesResponse>`;
      case 'GetProfiles':
        return `<trt:GetProfilesResponse>${profiles
          .map(
            ({ token, name: called, width, height, fps }) =>
              `<trt:Profiles token="${token.replaceAll('<', '&lt;')}" fixed="true"><tt:Name>${called}</tt:Name><tt:VideoEncoderConfiguration token="e"><tt:Encoding>H264</tt:Encoding><tt:Resolution><tt:Width>${width}</tt:Width><tt:Height>${height}</tt:Height></tt:Resolution><tt:RateControl><tt:FrameRateLimit>${fps}</tt:FrameRateLimit></tt:RateControl></tt:VideoEncoderConfiguration></trt:Profiles>`,
          )
          .join('')}<trt:Profiles token="sound"><tt:Name>Sound</tt:Name></trt:Profiles></trt:GetProfilesResponse>`;
      case 'GetStreamUri': {
        const token = /<ProfileToken>([^<]*)</.exec(text)?.[1]?.replaceAll('&#60;', '<');
        const uri = profiles.find((each) => each.token === token)?.uri.replaceAll('&', '&amp;') ?? '';
        return `<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>${uri}</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect></trt:MediaUri></trt:GetStreamUriResponse>`;
      }
      default:
        return null;
    }
  }
}
