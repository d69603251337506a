import { randomBytes } from 'node:crypto';

/** Host of a request, as it was before it was masked. */
export interface RevealedHost {
  readonly scheme: 'http' | 'https';
  /** As written: an IPv6 address has brackets. */
  readonly host: string;
}

/**
 * Replaces `https://cam.example:8443/x` by `http://s63616d2e6578616d706c65.SECRET.invalid:8443/x`, and back.
 *
 * ffmpeg sees only such hosts. So it asks its proxy for everything in clear text, and relative addresses resolve as always. It
 * cannot open an address that was not masked: its host does not exist, or lacks the secret.
 */
export class MaskedUrls {
  readonly #suffix = `${randomBytes(8).toString('hex')}.invalid`;
  readonly #masked = new RegExp(
    `http://((?:[^/?#@\\s"]*@)?)([hs])([0-9a-f]+)\\.${this.#suffix.replace('.', '\\.')}`,
    'g',
  );

  /** Masks every URL of a text. */
  maskAll(text: string): string {
    return text.replace(URLS, (whole, scheme: string, authority: string) => this.#mask(scheme, authority) ?? whole);
  }

  /** Masks every URL of a playlist. @param scheme - that of the playlist, which entries like `//host/path` have as well. */
  maskPlaylist(text: string, scheme: string): string {
    const absolute = text.replace(WITHOUT_SCHEME, (_, before: string) => `${before}${scheme}://`);
    return this.maskAll(absolute);
  }

  /** The inverse of `maskAll`. */
  revealAll(text: string): string {
    return text.replace(this.#masked, (_, user: string, mark: string, hex: string) => {
      const { scheme, host } = revealed(mark, hex);
      return `${scheme}://${user}${host}`;
    });
  }

  /** @param host - as in a request. @returns null if it was not masked here. */
  reveal(host: string): RevealedHost | null {
    if (!host.endsWith(`.${this.#suffix}`)) return null;
    const [, mark, hex] = /^([hs])([0-9a-f]+)$/.exec(host.slice(0, -this.#suffix.length - 1)) ?? [];
    return mark === undefined ? null : revealed(mark, hex!);
  }

  /** Returns null if the authority is ambiguous. */
  #mask(scheme: string, authority: string): string | null {
    const at = authority.lastIndexOf('@') + 1;
    const [, host, port = ''] = /^(\[[^\]]*\]|[^:]+)(:\d*)?$/.exec(authority.slice(at)) ?? [];
    if (host === undefined) return null;
    const hex = Buffer.from(host.toLowerCase()).toString('hex');
    return `http://${authority.slice(0, at)}${scheme.length === 5 ? 's' : 'h'}${hex}.${this.#suffix}${port}`;
  }
}

/** A scheme and its authority, which ends where ffmpeg ends a host, or where a playlist ends a URL. */
const URLS = /(https?):\/\/([^/?#\s"',]*)/gi;

/** Entries like `//host/path`. */
const WITHOUT_SCHEME = /(^[ \t]*|URI="?)\/\//gim;

function revealed(mark: string, hex: string): RevealedHost {
  return { scheme: mark === 's' ? 'https' : 'http', host: Buffer.from(hex, 'hex').toString() };
}
