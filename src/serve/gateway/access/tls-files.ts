import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { MOST_BYTES, readGiven } from '../../../base/disk/given-file.ts';
import { SightlineError } from '../../../base/errors/sightline-error.ts';

/** Paths of PEM files. */
export interface TlsFiles {
  /** Certificate, followed by its intermediates. */
  readonly cert: string;
  readonly key: string;
}

export interface TlsPair {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly expiresMs: number;
}

/** Reads a certificate and its key and checks that they belong together. @throws CONFIG_NOT_FOUND, CONFIG_INVALID */
export async function readTlsFiles({ cert: certPath, key: keyPath }: TlsFiles): Promise<TlsPair> {
  const [cert, key] = await Promise.all([read('cert', certPath), read('key', keyPath)]);
  try {
    createSecureContext({ cert, key });
    return { cert, key, expiresMs: Date.parse(new X509Certificate(cert).validTo) };
  } catch (error) {
    throw new SightlineError(
      'CONFIG_INVALID',
      `gateway.tls: expected a certificate and its key as PEM in ${certPath} and ${keyPath}, received: ${(error as Error).message}`,
      { cert: certPath, key: keyPath },
    );
  }
}

function read(name: keyof TlsFiles, path: string): Promise<Buffer> {
  const as = `gateway.tls.${name}: ${path}`;
  return readGiven(path, { code: 'CONFIG_NOT_FOUND', as, mostBytes: MOST_BYTES.settings });
}
