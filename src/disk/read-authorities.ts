import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { SightlineError } from '../errors/sightline-error.ts';

/**
 * Reads a PEM file of certificate authorities.
 *
 * @param where - what names the file, for the message.
 * @throws CONFIG_INVALID if it cannot be read or holds no certificate.
 */
export function readAuthorities(path: string, where: string): string {
  try {
    const text = readFileSync(path, 'utf8');
    if (!text.includes('-----BEGIN')) throw new Error(`expected certificates in PEM form in ${path}`);
    createSecureContext({ ca: text });
    return text;
  } catch (error) {
    throw new SightlineError('CONFIG_INVALID', `${where}: the CA file cannot be read: ${(error as Error).message}`);
  }
}
