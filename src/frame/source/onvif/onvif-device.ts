import { createHash, randomBytes } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { redact } from '../../../base/core/redact.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import type { OfferedStream } from '../../../wire/protocol/offered-camera.ts';
import { connectFailure } from '../open/connect-failure.ts';
import type { Dialler } from '../open/dialler.ts';
import { isAt } from './find-devices.ts';
import { childOf, escaped, listOf, MOST_REPLY_BYTES, type SoapNode, soapParts, textAt } from './soap.ts';

const DEVICE = 'http://www.onvif.org/ver10/device/wsdl';
const MEDIA = 'http://www.onvif.org/ver10/media/wsdl';
const SCHEMA = 'http://www.onvif.org/ver10/schema';
const SECURITY = 'http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss';
const MOST_PROFILES = 16;

export interface Login {
  readonly user: string;
  readonly password: string;
}

interface DeviceOptions {
  /** Of its device service. */
  readonly url: string;
  /** The only host that is connected to. */
  readonly address: string;
  readonly login: Login | null;
  readonly dialler: Dialler;
  /** For each reply as a whole. */
  readonly timeoutMs: number;
}

/** Asks an ONVIF camera for its streams. What it says is not trusted: other addresses, long and endless replies are refused. */
export class OnvifDevice {
  readonly #options: DeviceOptions;
  /** Its clock, ahead of ours: logins are valid for some seconds only. */
  #aheadMs = 0;

  constructor(options: DeviceOptions) {
    this.#options = options;
  }

  /** @throws SOURCE_UNREACHABLE, SOURCE_UNAUTHORIZED, SOURCE_UNREADABLE, SOURCE_FORBIDDEN, SOURCE_UNTRUSTED */
  async profiles(): Promise<OfferedStream[]> {
    const { url } = this.#options;
    this.#aheadMs = await this.#clock(url);
    const media = await this.#mediaService(url);
    const body = await this.#ask(media, MEDIA, '<GetProfiles xmlns="NS"/>');
    const profiles: OfferedStream[] = [];
    for (const profile of listOf(childOf(body, 'GetProfilesResponse').Profiles).slice(0, MOST_PROFILES)) {
      const encoder = childOf(profile, 'VideoEncoderConfiguration');
      const token = profile['@token'];
      if (typeof token !== 'string' || Object.keys(encoder).length === 0) continue;
      profiles.push({
        name: (textAt(profile, 'Name') || token).slice(0, 100),
        codec: textAt(encoder, 'Encoding').slice(0, 20),
        width: numberAt(encoder, 'Resolution', 'Width'),
        height: numberAt(encoder, 'Resolution', 'Height'),
        fps: numberAt(encoder, 'RateControl', 'FrameRateLimit'),
        source: await this.#streamUri(media, token),
      });
    }
    return profiles;
  }

  /** Not every camera tells without a login; then the clocks have to agree. */
  async #clock(url: string): Promise<number> {
    const body = await this.#ask(url, DEVICE, '<GetSystemDateAndTime xmlns="NS"/>', null).catch(() => null);
    if (body === null) return 0;
    const utc = childOf(body, 'GetSystemDateAndTimeResponse', 'SystemDateAndTime', 'UTCDateTime');
    const at = (...path: string[]): number => numberAt(utc, ...path) ?? Number.NaN;
    const [year, month, day] = [at('Date', 'Year'), at('Date', 'Month'), at('Date', 'Day')];
    const ms = Date.UTC(year, month - 1, day, at('Time', 'Hour'), at('Time', 'Minute'), at('Time', 'Second'));
    return Number.isNaN(ms) ? 0 : ms - Date.now();
  }

  async #mediaService(url: string): Promise<string> {
    const services = await this.#ask(
      url,
      DEVICE,
      '<GetServices xmlns="NS"><IncludeCapability>false</IncludeCapability></GetServices>',
    ).catch((error: SightlineError) => {
      // Cameras of before 2012 do not know it.
      if (error.code === 'SOURCE_UNREADABLE') return null;
      throw error;
    });
    const service = listOf(childOf(services ?? {}, 'GetServicesResponse').Service).find(
      (each) => textAt(each, 'Namespace') === MEDIA,
    );
    if (service !== undefined) return this.#own(textAt(service, 'XAddr'));
    const request = '<GetCapabilities xmlns="NS"><Category>Media</Category></GetCapabilities>';
    const body = await this.#ask(url, DEVICE, request);
    const found = textAt(childOf(body, 'GetCapabilitiesResponse', 'Capabilities', 'Media'), 'XAddr');
    if (found === '') throw new SightlineError('SOURCE_UNREADABLE', 'it has no media service (of ONVIF version 1)');
    return this.#own(found);
  }

  async #streamUri(media: string, token: string): Promise<string> {
    const setup = `<Stream xmlns="${SCHEMA}">RTP-Unicast</Stream><Transport xmlns="${SCHEMA}"><Protocol>RTSP</Protocol></Transport>`;
    const request = `<GetStreamUri xmlns="NS"><StreamSetup>${setup}</StreamSetup><ProfileToken>${escaped(token)}</ProfileToken></GetStreamUri>`;
    const body = await this.#ask(media, MEDIA, request);
    const uri = textAt(childOf(body, 'GetStreamUriResponse', 'MediaUri'), 'Uri');
    const bare = uri.replace(/^(rtsps?:\/\/)[^/?#]*@/i, '$1');
    if (/^rtsps?:\/\//i.test(bare) && isAt(bare.replace(/^rtsp/i, 'http'), this.#options.address)) return bare;
    throw elsewhere(`its stream is at ${redact(uri) || 'no address'}`);
  }

  /** @throws SOURCE_FORBIDDEN for an address of another host. */
  #own(url: string): string {
    if (isAt(url, this.#options.address)) return url;
    throw elsewhere(`its media service is at ${redact(url) || 'no address'}`);
  }

  /** @param request - its namespace written as NS. @returns the body of the reply. */
  async #ask(url: string, namespace: string, request: string, login = this.#options.login): Promise<SoapNode> {
    const security = login === null ? '' : this.#security(login);
    const text = `<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Header>${security}</e:Header><e:Body>${request.replace('"NS"', `"${namespace}"`)}</e:Body></e:Envelope>`;
    const action = `${namespace}/${/^<(\w+)/.exec(request)![1]}`;
    const { status, reply } = await this.#post(url, text, action);
    if (status === 401 || status === 403 || /NotAuthorized|FailedAuthentication/i.test(reply))
      throw new SightlineError(
        'SOURCE_UNAUTHORIZED',
        login === null ? 'it asks for a login (--login-file)' : 'it refuses the login',
      );
    const { body } = soapParts(reply);
    if (body.Fault === undefined && status < 300) return body;
    const reason = textAt(childOf(body, 'Fault', 'Reason'), 'Text').slice(0, 200);
    throw new SightlineError('SOURCE_UNREADABLE', `it answers with an error (${reason || `status ${status}`})`);
  }

  /** WS-UsernameToken: the password itself is not sent. */
  #security({ user, password }: Login): string {
    const nonce = randomBytes(16);
    const created = new Date(Date.now() + this.#aheadMs).toISOString();
    const digest = createHash('sha1').update(nonce).update(created).update(password).digest('base64');
    const profile = `${SECURITY}-username-token-profile-1.0#PasswordDigest`;
    return [
      `<Security xmlns="${SECURITY}-wssecurity-secext-1.0.xsd" e:mustUnderstand="true"><UsernameToken>`,
      `<Username>${escaped(user)}</Username><Password Type="${profile}">${digest}</Password>`,
      `<Nonce EncodingType="${SECURITY}-soap-message-security-1.0#Base64Binary">${nonce.toString('base64')}</Nonce>`,
      `<Created xmlns="${SECURITY}-wssecurity-utility-1.0.xsd">${created}</Created></UsernameToken></Security>`,
    ].join('');
  }

  #post(url: string, text: string, action: string): Promise<{ status: number; reply: string }> {
    const { dialler, timeoutMs } = this.#options;
    const { host } = new URL(url);
    return new Promise((resolve, reject) => {
      const fail = (error: Error): void =>
        reject(
          error.name === 'AbortError' || error.name === 'TimeoutError'
            ? new SightlineError('SOURCE_UNREACHABLE', `${host}: no whole answer within ${timeoutMs} ms`)
            : connectFailure(error, host),
        );
      try {
        dialler.checkHost(new URL(url).hostname);
      } catch (error) {
        return fail(error as Error);
      }
      const isTls = url.startsWith('https:');
      const sent = (isTls ? httpsRequest : httpRequest)(url, {
        method: 'POST',
        headers: { 'content-type': `application/soap+xml; charset=utf-8; action="${action}"` },
        lookup: dialler.lookup,
        signal: AbortSignal.timeout(timeoutMs),
        ...(isTls ? dialler.tlsOptions : {}),
      });
      sent.once('error', fail);
      sent.once('response', (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > MOST_REPLY_BYTES)
            sent.destroy(new SightlineError('SOURCE_UNREADABLE', `its reply is longer than ${MOST_REPLY_BYTES} bytes`));
          else chunks.push(chunk);
        });
        response.once('error', fail);
        response.once('end', () =>
          resolve({ status: response.statusCode ?? 0, reply: Buffer.concat(chunks).toString('utf8') }),
        );
      });
      sent.end(text);
    });
  }
}

function elsewhere(what: string): SightlineError {
  return new SightlineError('SOURCE_FORBIDDEN', `${what}; expected its own address, where it was found`);
}

function numberAt(node: SoapNode, ...path: string[]): number | null {
  const text = textAt(node, ...path);
  const value = Number(text);
  return text === '' || !Number.isFinite(value) ? null : value;
}
