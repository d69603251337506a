import { lookup } from 'node:dns/promises';
import { lstat, realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { redact } from '../../../base/core/redact.ts';
import { isBelowRoot } from '../../../base/disk/real-path.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { NetworkList } from '../../../frame/source/network-list.ts';
import { requireKnownScheme, sourcePath, sourceScheme } from '../../../frame/source/parse-source.ts';
import type { FleetConfig } from '../../../settings/config/fleet-config.ts';
import { type Placeholders, sourceText } from '../../../settings/config/placeholders.ts';

export type AdmissionRules = Pick<FleetConfig, 'roots' | 'schemes' | 'networks'> & {
  /** Sources of the own pipeline file that have placeholders, see `sourceText`. */
  readonly placeholders?: Pick<Placeholders, 'sources'> | undefined;
};

/** Resolves a host name to all its addresses. */
export type HostLookup = (host: string) => Promise<readonly string[]>;

/** Kinds of sources that lead to no network. */
const WITHOUT_ADDRESS: ReadonlySet<string> = new Set(['device', 'synthetic', 'demo']);

/**
 * Decides which files, folders and URLs a fleet may open, by the operator's rules. Checked when an order is submitted, and
 * again on the host that executes it, whose disks, links and name server may differ.
 *
 * What an admitted source leads to (redirects, entries of a playlist, other answers of a name server) is checked when it is
 * opened: see `openSource`.
 */
export class Admission {
  readonly #rules: AdmissionRules;
  readonly #networks: NetworkList;
  readonly #lookup: HostLookup;

  /** @throws CONFIG_INVALID for an invalid network. */
  constructor(rules: AdmissionRules, hostLookup: HostLookup = allAddresses) {
    this.#rules = rules;
    this.#networks = new NetworkList(rules.networks, 'fleet.networks');
    this.#lookup = hostLookup;
  }

  /**
   * Admits a file for reading.
   *
   * @returns its real path, links resolved: the path to open.
   * @throws SOURCE_FORBIDDEN, SOURCE_NOT_FOUND; SOURCE_UNREADABLE if it is not a regular file.
   */
  async file(path: string): Promise<string> {
    const { place, missing } = await this.#place(path);
    if (missing !== '') throw new SightlineError('SOURCE_NOT_FOUND', `${path}: no such file`, { path });
    if (!(await stat(place)).isFile())
      throw new SightlineError('SOURCE_UNREADABLE', `${path}: expected a file, found a folder or a device`, { path });
    return place;
  }

  /**
   * Admits a folder for writing. If it does not exist yet, its deepest existing parent is checked.
   *
   * @returns its real path.
   * @throws SOURCE_FORBIDDEN
   */
  async outDir(path: string): Promise<string> {
    const { place, missing } = await this.#place(path);
    return join(place, missing);
  }

  /**
   * Admits the source of a stream, as in `streams[].source`.
   *
   * @throws CONFIG_INVALID, SOURCE_FORBIDDEN; SOURCE_UNREACHABLE if a host name has no address; for files what `file` throws.
   */
  async source(written: string): Promise<void> {
    const text = sourceText(written, this.#rules.placeholders?.sources);
    requireKnownScheme(text);
    const scheme = text === 'demo' ? 'demo' : sourceScheme(text);
    const { schemes } = this.#rules;
    if (!schemes.includes(scheme))
      throw forbidden(
        text,
        `sources of kind "${scheme}" are not allowed; allowed are ${schemes.join(', ') || 'none'} (fleet.schemes)`,
      );
    if (scheme === 'file') await this.file(sourcePath(text));
    else if (!WITHOUT_ADDRESS.has(scheme)) await this.#url(text);
  }

  async #url(text: string): Promise<void> {
    if (this.#networks.isAll) return;
    const hosts = urlHosts(text);
    if (hosts === null)
      throw forbidden(text, 'programs may read different hosts in it; percent-encode special characters of a password');
    for (const host of hosts) {
      const addresses = await this.#lookup(host).catch(() => []);
      if (addresses.length === 0)
        throw new SightlineError('SOURCE_UNREACHABLE', `${redact(text)}: the host name has no address`, {
          source: redact(text),
        });
      const outside = addresses.find((address) => !this.#networks.has(address));
      if (outside === undefined) continue;
      const allowed = this.#rules.networks.join(', ') || 'none';
      throw forbidden(text, `it leads to ${outside}; allowed are the networks ${allowed} (fleet.networks)`);
    }
  }

  /** Splits a path into the existing part, links resolved, and the rest. @throws SOURCE_FORBIDDEN if it is not below a root. */
  async #place(path: string): Promise<{ place: string; missing: string }> {
    const { roots } = this.#rules;
    const allowed = `allowed are files below ${roots.join(', ') || 'no folder'} (fleet.roots)`;
    if (!isAbsolute(path) || path.includes('\0') || path.split(/[/\\]/).includes('..'))
      throw forbidden(path, `expected an absolute path without ".."; ${allowed}`);
    const found = await deepestExisting(path);
    if (found === null || !(await isBelowRoot(found.place, roots))) throw forbidden(path, allowed);
    return found;
  }
}

/**
 * Returns the deepest existing folder or file of a path, links resolved, and the missing rest.
 *
 * @returns null if the path cannot be resolved: a dangling or circular link, or a folder without access.
 */
async function deepestExisting(path: string): Promise<{ place: string; missing: string } | null> {
  let missing = '';
  for (let at = path; ; at = dirname(at)) {
    try {
      return { place: await realpath(at), missing };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const isAbsent = code === 'ENOENT' || code === 'ENOTDIR';
      if (!isAbsent || dirname(at) === at || (await isLink(at))) return null;
      missing = join(basename(at), missing);
    }
  }
}

async function isLink(path: string): Promise<boolean> {
  return lstat(path).then(
    (entry) => entry.isSymbolicLink(),
    () => false,
  );
}

function forbidden(what: string, why: string): SightlineError {
  const name = redact(what);
  return new SightlineError('SOURCE_FORBIDDEN', `${name}: ${why}`, { source: name });
}

async function allAddresses(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true, verbatim: true });
  return found.map(({ address }) => address);
}

/** White space, control characters and backslashes: URL parsers and ffmpeg treat them differently in a host. */
const AMBIGUOUS = /[\s\\\p{Cc}]/u;

/**
 * Returns the host of a URL as ffmpeg reads it (up to the first `/`, `?` or `#`, after the last `@`) and, if different, as the
 * URL standard defines it.
 *
 * @returns names or addresses without brackets and ports; null if the host is missing or ambiguous.
 */
function urlHosts(text: string): readonly string[] | null {
  if (AMBIGUOUS.test(text) || !URL.canParse(text)) return null;
  const authority = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(text)?.[1] ?? '';
  const place = authority.slice(authority.lastIndexOf('@') + 1);
  const written = bare(place.startsWith('[') ? place.replace(/\][^\]]*$/, ']') : place.replace(/:\d*$/, ''));
  const parsed = bare(new URL(text).hostname);
  return written === '' || parsed === '' ? null : [...new Set([written, parsed])];
}

function bare(host: string): string {
  return host.replace(/^\[|\]$/g, '').toLowerCase();
}
