import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { isRedacted, redactSource } from '../../../base/core/redact.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';
import { check } from '../../../settings/config/check.ts';
import { isSection, mergeSettings } from '../../../settings/config/merge-settings.ts';
import { type FittedModel, requireFits } from '../../../settings/config/model-fit.ts';
import { parseStream } from '../../../settings/config/parse-stream.ts';
import { shownSetting } from '../../../settings/config/shown-settings.ts';
import { addressesOf, type StreamConfig, streamConfig } from '../../../settings/config/stream.ts';

export interface StreamRulesOptions {
  /** Default settings of a new stream, for those that the request leaves out. */
  readonly defaults: Readonly<Record<string, unknown>>;
  /** Refuses sources, and servers to push to, that must not be opened. @throws SOURCE_FORBIDDEN */
  readonly admit: (address: string, stream: string) => Promise<void> | void;
  /** A stream of the pipeline file; undefined if the file does not have it. Absent: there is no file. */
  readonly ofFile?: (id: string) => StreamConfig | undefined;
  /** Returns the detector that a stream names; absent if detectors are not known here. @throws CONFIG_INVALID */
  readonly modelOf?: (name: string | undefined) => FittedModel;
}

const patchSchema = z.record(z.string(), z.unknown());
const triedRules = z.strictObject({ events: z.unknown(), zones: z.unknown(), lines: z.unknown() }).partial();

/**
 * The rules for a request to add or change a stream. `run`, `host` and the commands for a fleet share them, so that a
 * request has the same outcome and the same error everywhere.
 */
export class StreamRules {
  readonly #options: StreamRulesOptions;

  constructor(options: StreamRulesOptions) {
    this.#options = options;
  }

  /**
   * Returns the settings of a new stream.
   *
   * @param stream - as in a pipeline file, not validated yet.
   * @throws CONFIG_INVALID, SOURCE_FORBIDDEN
   */
  async added(stream: unknown): Promise<StreamConfig> {
    const config = parseStream(stream, this.#options.defaults);
    requireShown(config);
    this.#requireFits(config);
    await this.admit(config);
    return config;
  }

  /**
   * Returns the settings under which a source is tested.
   *
   * @param request - as for a new stream, not validated yet; the id can be left out.
   * @param currentOf - returns the stream of an id, whose source is open already; null: there is none.
   * @throws CONFIG_INVALID, SOURCE_FORBIDDEN
   */
  async tested(request: unknown, currentOf: (id: string) => StreamConfig | null): Promise<StreamConfig> {
    const known = withKnownSource(request, currentOf);
    const config = parseStream({ id: 'test', ...check(patchSchema, known, 'body') }, this.#options.defaults);
    if (known === request) await this.admit(config);
    return config;
  }

  /**
   * Returns the settings of a stream after a change.
   *
   * @param patch - the settings to change, not validated yet, see `mergeSettings`: null gives a key its default, or none. An id can be
   *   repeated, but not changed.
   * @throws CONFIG_INVALID, SOURCE_FORBIDDEN
   */
  async changed(current: StreamConfig, patch: unknown): Promise<StreamConfig> {
    const where = `stream "${current.id}"`;
    const keys = this.#withSecrets(check(patchSchema, patch, where), current);
    return this.#changed(current, check(streamConfig, mergeSettings(current, keys), where));
  }

  /**
   * Returns the settings of a stream with other rules, to try them.
   *
   * @param rules - as for a change, not validated yet: `events`, and the `zones` and `lines` that they use.
   * @throws CONFIG_INVALID, as the change would.
   */
  tried(current: StreamConfig, rules: unknown): Promise<StreamConfig> {
    return this.changed(current, check(triedRules, rules, `stream "${current.id}"`));
  }

  /**
   * Returns the settings of a stream that replace all that it has.
   *
   * @param settings - as in a pipeline file, not validated yet. The id can be left out.
   * @throws CONFIG_INVALID, SOURCE_FORBIDDEN
   */
  async rewritten(current: StreamConfig, settings: unknown): Promise<StreamConfig> {
    const where = `stream "${current.id}"`;
    const keys = this.#withSecrets({ id: current.id, ...check(patchSchema, settings, where) }, current);
    return this.#changed(current, parseStream(keys, this.#options.defaults));
  }

  async #changed(current: StreamConfig, config: StreamConfig): Promise<StreamConfig> {
    if (config.id !== current.id)
      throw new SightlineError(
        'CONFIG_INVALID',
        `stream "${current.id}": id: expected the same id, received "${config.id}"; add a new stream instead`,
      );
    return this.replaced(current, config);
  }

  /**
   * Returns `next` if it may replace the current settings. Addresses are checked only if they are others: a camera whose
   * host name does not resolve at the moment can still get another priority.
   *
   * @throws SOURCE_FORBIDDEN, CONFIG_INVALID for what the model does not have
   */
  async replaced(current: StreamConfig, next: StreamConfig): Promise<StreamConfig> {
    this.#requireFits(next, current);
    await this.#admitAll(
      next.id,
      addressesOf(next).filter((address) => !addressesOf(current).includes(address)),
    );
    return next;
  }

  #requireFits(next: StreamConfig, current?: StreamConfig): void {
    requireFits(next, (name) => this.#options.modelOf?.(name), current);
  }

  /** @throws SOURCE_FORBIDDEN */
  async admitAddress(address: string, stream: string): Promise<void> {
    await this.#options.admit(address, stream);
  }

  /** @throws SOURCE_FORBIDDEN */
  async admit(config: StreamConfig): Promise<void> {
    await this.#admitAll(config.id, addressesOf(config));
  }

  async #admitAll(id: string, addresses: readonly string[]): Promise<void> {
    for (const address of addresses) await this.#options.admit(address, id);
  }

  /**
   * A client that read the settings and writes them back sends them without their secrets. They are taken from those that the stream has;
   * those of its addresses also from what the pipeline file says.
   */
  #withSecrets(keys: Record<string, unknown>, current: StreamConfig): Record<string, unknown> {
    const { id } = current;
    const { source, restream } = this.#options.ofFile?.(id) ?? {};
    const known = [current, { source, restream }];
    const entries = Object.entries(keys).map(([key, value]) => [key, meantBy(key, value, known)]);
    const meant = Object.fromEntries(entries);
    // What is unchanged here has not been known.
    const sent = ADDRESSES.filter((key) => typeof meant[key] === 'string' && meant[key] === keys[key]);
    requireShown({ id, ...Object.fromEntries(sent.map((key) => [key, meant[key]])) });
    return meant;
  }
}

/** Returns the value of a setting whose shown form a client sent; else what it sent, with the parts of which it sent the shown form. */
function meantBy(key: string, sent: unknown, known: readonly object[]): unknown {
  const values = known.flatMap((settings) =>
    Object.entries(settings).flatMap(([name, value]) => (name === key ? [value] : [])),
  );
  return values.reduce((meant, value) => meantPart(meant, value, shownSetting(streamConfig, key, value)), sent);
}

/** @param shown - `value` as a client may see it. Entries of a list are the same by their id. */
function meantPart(sent: unknown, value: unknown, shown: unknown): unknown {
  if (isDeepStrictEqual(sent, shown)) return value;
  if (Array.isArray(sent) && Array.isArray(value) && Array.isArray(shown)) {
    return sent.map((entry) => {
      const i = value.findIndex((each) => isNamed(each) && isNamed(entry) && each.id === entry.id);
      return i === -1 ? entry : meantPart(entry, value[i], shown[i]);
    });
  }
  if (!isSection(sent) || !isSection(value) || !isSection(shown)) return sent;
  return Object.fromEntries(Object.entries(sent).map(([key, part]) => [key, meantPart(part, value[key], shown[key])]));
}

function isNamed(value: unknown): value is { readonly id: string } {
  return isSection(value) && typeof value.id === 'string';
}

/**
 * Puts the secrets back into a source to be tested, if a client read it without them from an existing stream.
 *
 * @returns the same object if it names no such source.
 */
function withKnownSource(request: unknown, currentOf: (id: string) => StreamConfig | null): unknown {
  const { id, source } = (request ?? {}) as { readonly id?: unknown; readonly source?: unknown };
  const current = typeof id === 'string' ? currentOf(id) : null;
  if (current === null || source !== redactSource(current.source)) return request;
  return { ...(request as object), source: current.source };
}

const ADDRESSES = ['source', 'restream'] as const;

/** Refuses an address with hidden secrets, as read from another stream: it could never be opened. @throws CONFIG_INVALID */
function requireShown({ id, ...config }: Pick<StreamConfig, 'id'> & Partial<StreamConfig>): void {
  const key = ADDRESSES.find((each) => isRedacted(config[each] ?? ''));
  if (key === undefined) return;
  throw new SightlineError(
    'CONFIG_INVALID',
    `stream "${id}": ${key}: expected the address with its secrets, received one in which they are hidden (***)`,
  );
}
