import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** False if there is no `openssl` program to make certificates with. */
export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

export interface Certificate {
  readonly certPath: string;
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface CertificateRequest {
  /** As in a `subjectAltName`, such as `IP:127.0.0.1`. */
  readonly names: string;
  /** Self-signed if absent. */
  readonly issuer?: Certificate;
  /** Begin and end as `YYYYMMDDhhmmssZ`; now and in ten days if absent. */
  readonly valid?: readonly [string, string];
}

/** Makes certificates in a folder. */
export class CertificateMaker {
  readonly #folder: string;
  #serial = 1000;

  constructor(folder: string) {
    this.#folder = folder;
  }

  authority(name: string): Certificate {
    const key = this.#key(name);
    const certPath = join(this.#folder, `${name}.pem`);
    const shape = ['-x509', '-days', '10', '-subj', `/CN=${name}`, '-addext', 'basicConstraints=critical,CA:TRUE'];
    this.#openssl('req', '-new', '-key', key, ...shape, '-out', certPath);
    return read(certPath, key);
  }

  certificate(name: string, { names, issuer, valid }: CertificateRequest): Certificate {
    const key = this.#key(name);
    const [request, extensions, certPath] = ['csr', 'ext', 'pem'].map((end) =>
      join(this.#folder, `${name}.${end}`),
    ) as [string, string, string];
    this.#openssl('req', '-new', '-key', key, '-subj', `/CN=${name}`, '-out', request);
    writeFileSync(extensions, `subjectAltName=${names}\n`);
    const signer = issuer === undefined ? ['-signkey', key] : this.#signer(issuer);
    if (valid === undefined) {
      this.#openssl('x509', '-req', '-in', request, ...signer, '-days', '10', '-extfile', extensions, '-out', certPath);
    } else {
      this.#signWithDates(request, extensions, certPath, issuer, valid);
    }
    return read(certPath, key);
  }

  #signer(issuer: Certificate): string[] {
    this.#serial += 1;
    return ['-CA', issuer.certPath, '-CAkey', keyPathOf(issuer.certPath), '-set_serial', String(this.#serial)];
  }

  /** Only `openssl ca` takes dates in the past. */
  #signWithDates(
    request: string,
    extensions: string,
    certPath: string,
    issuer: Certificate | undefined,
    [begin, end]: readonly [string, string],
  ): void {
    if (issuer === undefined) throw new RangeError('a certificate with dates needs an issuer');
    const config = join(this.#folder, 'ca.cnf');
    const lines = ['database = ca.txt', 'serial = ca.srl', 'new_certs_dir = .', 'default_md = sha256', 'policy = any'];
    writeFileSync(
      config,
      ['[ca]', 'default_ca = own', '[own]', ...lines, '[any]', 'commonName = supplied', ''].join('\n'),
    );
    writeFileSync(join(this.#folder, 'ca.txt'), '');
    writeFileSync(join(this.#folder, 'ca.srl'), 'AB01\n');
    const signer = ['-cert', issuer.certPath, '-keyfile', keyPathOf(issuer.certPath)];
    const dates = ['-startdate', begin, '-enddate', end];
    const paths = ['-in', request, '-extfile', extensions, '-out', certPath];
    this.#openssl('ca', '-batch', '-notext', '-config', config, ...signer, ...dates, ...paths);
  }

  #key(name: string): string {
    const path = join(this.#folder, `${name}.key`);
    this.#openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', path);
    return path;
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.#folder, stdio: ['ignore', 'ignore', 'ignore'] });
  }
}

function keyPathOf(certPath: string): string {
  return certPath.replace(/pem$/, 'key');
}

function read(certPath: string, keyPath: string): Certificate {
  return { certPath, cert: readFileSync(certPath), key: readFileSync(keyPath) };
}
