import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Whether this machine has the program that makes certificates. */
export const hasOpenssl = ((): boolean => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** PEM texts. */
export interface MadeCertificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority of our own in a folder, which signs certificates for localhost and 127.0.0.1. */
export class TestAuthority {
  readonly folder = mkdtempSync(join(tmpdir(), 'sightline-tls-'));
  readonly caPath = join(this.folder, 'ca.pem');
  #count = 0;

  constructor() {
    const subject = ['-x509', '-days', '1', '-subj', '/CN=Test authority'];
    this.#openssl('req', ...NEW_KEY, ...subject, '-keyout', 'ca.key', '-out', 'ca.pem');
  }

  get ca(): string {
    return readFileSync(this.caPath, 'utf8');
  }

  /** Makes a certificate and its key, valid for a day. */
  make(): MadeCertificate {
    this.#count += 1;
    const name = `server-${this.#count}`;
    const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    this.#openssl('req', ...NEW_KEY, ...subject, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-copy_extensions', 'copy', '-days', '1'];
    this.#openssl('x509', '-req', '-in', `${name}.csr`, ...signed, '-out', `${name}.pem`);
    const read = (file: string): string => readFileSync(join(this.folder, file), 'utf8');
    return { cert: read(`${name}.pem`), key: read(`${name}.key`) };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.folder, stdio: ['ignore', 'ignore', 'pipe'] });
  }
}
