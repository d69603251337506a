import { check } from './check.ts';
import { isSection, mergeSettings } from './merge-settings.ts';
import { type StreamConfig, streamConfig } from './stream.ts';

/**
 * Parses one stream as received over REST, merged with the pipeline's defaults: keys of the stream take precedence, and null stands for
 * none. @throws CONFIG_INVALID
 */
export function parseStream(raw: unknown, defaults: Readonly<Record<string, unknown>>): StreamConfig {
  return check(streamConfig, isSection(raw) ? mergeSettings({}, { ...defaults, ...raw }) : raw, 'stream');
}
