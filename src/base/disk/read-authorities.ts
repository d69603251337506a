import { createSecureContext } from 'node:tls';
import { SightlineError } from '../errors/sightline-error.ts';
import { MOST_BYTES, readGivenTextSync } from './given-file.ts';

/**
 * Reads a PEM file of certificate authorities.
 *
 * @param where - what names the file, for the message.
 * @throws CONFIG_INVALID if it cannot be read or holds no certificate.
 */
export function readAuthorities(path: string, where: string): string {
  try {
    const text = readGivenTextSync(path, { code: 'CONFIG_INVALID', as: path, mostBytes: MOST_BYTES.settings });
    if (!text.includes('-----BEGIN')) throw new Error(`expected certificates in PEM form in ${path}`);
    createSecureContext({ ca: text });
    return text;
  } catch (error) {
    throw new SightlineError('CONFIG_INVALID', `${where}: the CA file cannot be read: ${(error as Error).message}`);
  }
}
