import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface IssuedFiles {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority made by openssl, in a folder that the test takes away. */
export class Authority {
  /** The path of its own certificate. */
  readonly cert: string;
  private readonly key: string;

  constructor(
    private readonly folder: string,
    private readonly name: string,
  ) {
    mkdirSync(folder, { recursive: true });
    this.cert = join(folder, `${name}.crt`);
    this.key = join(folder, `${name}.key`);
    openssl('req', '-x509', ...NEW_KEY, '-days', '2', '-subj', `/CN=${name}`, '-keyout', this.key, '-out', this.cert);
  }

  /** A certificate for `name`, with the subject alternative names `san`, such as `IP:127.0.0.1` or `DNS:esp32`. */
  issue(name: string, san = 'IP:127.0.0.1', days = 2): IssuedFiles {
    const path = (end: string): string => join(this.folder, `${this.name}-${name.replaceAll('/', '_')}.${end}`);
    const [cert, key, request, extensions] = [path('crt'), path('key'), path('csr'), path('cnf')];
    writeFileSync(extensions, san ? `subjectAltName=${san}` : '');
    openssl('req', ...NEW_KEY, '-subj', `/CN=${name.replaceAll('/', '\\/')}`, '-keyout', key, '-out', request);
    const by = ['-CA', this.cert, '-CAkey', this.key, '-CAcreateserial', '-days', String(days)];
    openssl('x509', '-req', '-in', request, ...by, '-extfile', extensions, '-out', cert);
    return { cert, key };
  }

  get pem(): Buffer {
    return readFileSync(this.cert);
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'ignore' });
}
