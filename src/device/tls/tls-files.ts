import { Logger } from '@nestjs/common';
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { createSecureContext, type TlsOptions } from 'node:tls';
import type { Settings } from '../../config/index.js';
import { reasonOf } from '../../errors.js';
import { Reloaded } from '../../reloaded.js';

/** A small device may take many seconds to compute its part, a link to lose some of it; who says nothing for so long is gone. */
const HANDSHAKE_TIMEOUT_MS = 30_000;
/** OpenSSL: two keys of 16 bytes and a name of 16 (SSL_CTX_set_tlsext_ticket_keys). */
const TICKET_KEY_BYTES = 48;

export interface LoadedTls {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | undefined;
  /** When the certificate ends, in milliseconds since the epoch. */
  readonly notAfterMs: number;
}

/**
 * What the device port needs to speak TLS, read again when the files change. Node's default cipher suites hold those
 * that mbedTLS and rustls speak (ECDHE with AES-128-GCM first); sessions are resumed by tickets, because a whole
 * handshake costs a small device seconds.
 */
export class TlsFiles {
  private readonly files: Reloaded<LoadedTls>;
  private readonly ticketKeys = randomBytes(TICKET_KEY_BYTES);

  /** Undefined without TLS_CERT_PATH. Throws ConfigError when the files do not belong together. */
  static from(settings: Settings, onChange: (options: TlsOptions) => void): TlsFiles | undefined {
    const { tlsCertPath: cert, tlsKeyPath: key, tlsClientCaPath: clientCa } = settings;
    return cert === undefined || key === undefined ? undefined : new TlsFiles(cert, key, clientCa, onChange);
  }

  private constructor(
    cert: string,
    key: string,
    clientCa: string | undefined,
    onChange: (options: TlsOptions) => void,
  ) {
    const paths = [cert, key, ...(clientCa === undefined ? [] : [clientCa])];
    const logger = new Logger('TlsFiles');
    this.files = new Reloaded(
      '--tls-cert-path, --tls-key-path, --tls-client-ca-path',
      paths,
      load,
      logger,
      (loaded) => {
        onChange(this.optionsOf(loaded));
      },
    );
  }

  get options(): TlsOptions {
    return this.optionsOf(this.files.current);
  }

  get notAfterMs(): number {
    return this.files.current.notAfterMs;
  }

  /** Looks at the files now. */
  reload(): void {
    this.files.reload();
  }

  stop(): void {
    this.files.stop();
  }

  private optionsOf({ cert, key, clientCa }: LoadedTls): TlsOptions {
    return {
      cert,
      key,
      minVersion: 'TLSv1.2',
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      ticketKeys: this.ticketKeysFor(clientCa),
      ...(clientCa !== undefined && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
    };
  }

  /** A ticket holds the client's certificate as it was verified: other authorities, other tickets. */
  private ticketKeysFor(clientCa = ''): Buffer {
    const digest = (part: string): Buffer =>
      createHash('sha256').update(this.ticketKeys).update(part).update(clientCa).digest();
    return Buffer.concat([digest('a'), digest('b')]).subarray(0, TICKET_KEY_BYTES);
  }
}

/** Throws an Error with one line when the three do not belong together. */
function load(cert: string, key: string, clientCa?: string): LoadedTls {
  const certificate = parsed('the certificate', () => new X509Certificate(cert));
  parsed('the certificate and its key', () => createSecureContext({ cert, key }));
  if (clientCa !== undefined) {
    parsed('the client authority', () => new X509Certificate(clientCa));
    parsed('the client authority', () => createSecureContext({ ca: clientCa }));
  }
  return { cert, key, clientCa, notAfterMs: Date.parse(certificate.validTo) };
}

function parsed<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new Error(`${what} cannot be used: ${reasonOf(error)}`, { cause: error });
  }
}
