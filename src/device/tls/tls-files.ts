import { ExplainedError } from '../../errors.js';
import { Logger } from '@nestjs/common';
import { createHash, randomBytes } from 'node:crypto';
import { createSecureContext, type TlsOptions } from 'node:tls';
import type { Settings } from '../../config/index.js';
import { certificateOfPair, certificatesIn } from '../../pem.js';
import { Reloaded } from '../../reloaded.js';

/** A small device may take many seconds to compute its part, a link to lose some of it; who says nothing for so long is gone. */
const HANDSHAKE_TIMEOUT_MS = 30_000;
/** OpenSSL: two keys of 16 bytes and a name of 16 (SSL_CTX_set_tlsext_ticket_keys). */
const TICKET_KEY_BYTES = 48;

interface KeyPair {
  readonly cert: string;
  readonly key: string;
  /** When the certificate ends, in milliseconds since the epoch. */
  readonly notAfterMs: number;
}

/**
 * What the device port needs to speak TLS, read again when the files change. Node's default cipher suites hold those
 * that mbedTLS and rustls speak (ECDHE with AES-128-GCM first); sessions are resumed by tickets, because a whole
 * handshake costs a small device seconds.
 */
export class TlsFiles {
  private readonly pair: Reloaded<KeyPair>;
  /** By itself: a pair that is half written must not keep an authority in force that was taken away. */
  private readonly clientCa: Reloaded<string> | undefined;
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

  /** Looks at the files now. */
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

  /** A ticket holds the client's certificate as it was verified: other authorities, other tickets. */
  private ticketKeysFor(clientCa = ''): Buffer {
    const digest = (part: string): Buffer =>
      createHash('sha256').update(this.ticketKeys).update(part).update(clientCa).digest();
    return Buffer.concat([digest('a'), digest('b')]).subarray(0, TICKET_KEY_BYTES);
  }
}

/** Reads a certificate and its key; what it returns throws an Error with one line that names the file that is wrong. */
function pairIn(certPath: string, keyPath: string): (cert: string, key: string) => KeyPair {
  return (cert, key) => {
    const certificate = certificateOfPair(certPath, cert, keyPath, key);
    try {
      createSecureContext({ cert, key });
    } catch (error) {
      throw new ExplainedError(`${JSON.stringify(certPath)}: its certificate or its key is too weak for TLS 1.2`, {
        cause: error,
      });
    }
    return { cert, key, notAfterMs: Date.parse(certificate.validTo) };
  };
}

function loadClientCa(clientCa: string): string {
  certificatesIn(clientCa);
  return clientCa;
}
