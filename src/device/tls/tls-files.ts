import { ExplainedError } from '../../errors.js';
import { Logger } from '@nestjs/common';
import { createHash, randomBytes } from 'node:crypto';
import { createSecureContext, type TlsOptions } from 'node:tls';
import type { Settings } from '../../config/index.js';
import { certificateOfPair, certificatesIn } from '../../pem.js';
import { Reloaded } from '../../reloaded.js';

/** Time for a handshake: a small device may need many seconds for its computation, and a link may lose packets. */
const HANDSHAKE_TIMEOUT_MS = 30_000;
/** OpenSSL: two keys of 16 bytes and a name of 16 (SSL_CTX_set_tlsext_ticket_keys). */
const TICKET_KEY_BYTES = 48;

interface KeyPair {
  readonly cert: string;
  readonly key: string;
  /** Expiry of the certificate, in milliseconds since the epoch. */
  readonly notAfterMs: number;
}

/**
 * The TLS options of the device port. The files are read again when they change. Node's default cipher suites include
 * those of mbedTLS and rustls (ECDHE with AES-128-GCM first). Sessions are resumed with tickets, because a full handshake takes seconds on a small device.
 */
export class TlsFiles {
  private readonly pair: Reloaded<KeyPair>;
  /** Read separately: an incomplete certificate and key must not keep a removed authority in force. */
  private readonly clientCa: Reloaded<string> | undefined;
  private readonly ticketKeys = randomBytes(TICKET_KEY_BYTES);

  /** Returns undefined without TLS_CERT_PATH. Throws ConfigError if the files do not belong together. */
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
    const logger = new Logger('TlsFiles');
    this.pair = new Reloaded('--tls-cert-path, --tls-key-path', [cert, key], pairIn(cert, key), logger, (pair) => {
      onChange(this.optionsOf(pair, this.clientCa?.current));
    });
    if (clientCa === undefined) return;
    try {
      this.clientCa = new Reloaded('--tls-client-ca-path', [clientCa], loadClientCa, logger, (authorities) => {
        onChange(this.optionsOf(this.pair.current, authorities));
      });
    } catch (error) {
      this.pair.stop();
      throw error;
    }
  }

  get options(): TlsOptions {
    return this.optionsOf(this.pair.current, this.clientCa?.current);
  }

  get notAfterMs(): number {
    return this.pair.current.notAfterMs;
  }

  /** Checks the files now. */
  reload(): void {
    this.pair.reload();
    this.clientCa?.reload();
  }

  stop(): void {
    this.pair.stop();
    this.clientCa?.stop();
  }

  private optionsOf({ cert, key }: KeyPair, clientCa: string | undefined): TlsOptions {
    return {
      cert,
      key,
      minVersion: 'TLSv1.2',
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      ticketKeys: this.ticketKeysFor(clientCa),
      ...(clientCa !== undefined && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
    };
  }

  /**
   * Returns the keys of tickets. A ticket contains the verified certificate of the client, so other authorities need
   * other keys.
   */
  private ticketKeysFor(clientCa = ''): Buffer {
    const digest = (part: string): Buffer =>
      createHash('sha256').update(this.ticketKeys).update(part).update(clientCa).digest();
    return Buffer.concat([digest('a'), digest('b')]).subarray(0, TICKET_KEY_BYTES);
  }
}

/**
 * Returns a function that reads a certificate and its key. It throws an Error with one line that names the wrong file.
 */
function pairIn(certPath: string, keyPath: string): (cert: string, key: string) => KeyPair {
  return (cert, key) => {
    const certificate = certificateOfPair(certPath, cert, keyPath, key);
    try {
      createSecureContext({ cert, key });
    } catch (error) {
      throw new ExplainedError(
        `${JSON.stringify(certPath)}: its certificate or its key is too weak for TLS 1.2. Issue one with an EC key, or an RSA key of 2048 bits`,
        {
          cause: error,
        },
      );
    }
    return { cert, key, notAfterMs: Date.parse(certificate.validTo) };
  };
}

function loadClientCa(clientCa: string): string {
  certificatesIn(clientCa);
  return clientCa;
}
