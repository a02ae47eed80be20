import { Injectable } from '@nestjs/common';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { Clock } from '../clock.js';
import { Settings } from '../config/index.js';
import type { Identity } from '../identity.js';
import { linkSignatureOf } from '../signed-url.js';
import { ClientAddress } from './client-address.js';

/** A link is valid for a day, so that a slow device can resume its download with the same link. */
const VALID_S = 86_400;
/** Links of one hour are the same, so that a client that compares them sees no change. */
const STEP_S = 3_600;
/** Name or address of a host, with or without a port (RFC 9110, section 7.2). Untrusted: it is written into links. */
const HOST = /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/;
const PORT_OF = { http: '80', https: '443' } as const;

/**
 * Makes the links to firmware that protocols hand out. Many clients send no credentials with a download, so the links
 * carry a signature if access is restricted.
 *
 * @publicApi
 */
@Injectable()
export class Links {
  /** The secrets that sign links. The first one signs. Without DEVICE_URL_SECRET, links are valid until the server ends. */
  readonly secrets: readonly string[];
  private readonly publicUrl: string | undefined;
  private readonly addresses: ClientAddress;
  private signs = false;

  /** @internal Created by Nest. */
  constructor(
    settings: Settings,
    private readonly clock: Clock,
  ) {
    this.secrets = settings.deviceUrlSecret ?? [randomBytes(32).toString('base64url')];
    this.publicUrl = settings.publicUrl;
    this.addresses = new ClientAddress(settings.trustProxy);
  }

  /** Makes links carry a signature from now on. Called if devices need credentials. */
  sign(): void {
    this.signs = true;
  }

  /** Whether access is restricted: devices need credentials, and links carry a signature. */
  get isRestricted(): boolean {
    return this.signs;
  }

  /**
   * Returns an absolute URL: PUBLIC_URL, or the host that the client or its trusted proxy has named, followed by `path`.
   *
   * @param path begins with a slash
   */
  absolute({ raw }: { readonly raw: IncomingMessage }, path: string): string {
    return `${this.publicUrl ?? this.origin(raw)}${path}`;
  }

  /**
   * Returns `path` with a signature in its query if access is restricted: whoever has it can use it for this path and this
   * identity for about a day. Otherwise returns `path`.
   */
  signed(path: string, { product, unit }: Identity): string {
    const [secret] = this.secrets;
    if (!this.signs || secret === undefined) return path;
    const expires = Math.ceil((this.clock.nowMs() / 1000 + VALID_S) / STEP_S) * STEP_S;
    const [plain = '', query] = path.split('?', 2);
    const signature = linkSignatureOf(secret, plain, product, expires, unit);
    return `${path}${query === undefined ? '?' : '&'}expires=${expires}&signature=${signature}`;
  }

  private origin(raw: IncomingMessage): string {
    const isProxied = this.addresses.isProxied(raw);
    const forwarded = isProxied ? last(raw.headers['x-forwarded-proto'])?.toLowerCase() : undefined;
    const scheme =
      forwarded === 'https' || forwarded === 'http' ? forwarded : raw.socket instanceof TLSSocket ? 'https' : 'http';
    const host = [isProxied ? last(raw.headers['x-forwarded-host']) : undefined, raw.headers.host].find(
      (name) => name !== undefined && HOST.test(name),
    );
    return `${scheme}://${host ?? addressOf(raw, scheme)}`;
  }
}

/** A client of HTTP/1.0 sends no `Host`: the address that it has connected to is as good. */
function addressOf(
  { socket: { localAddress = '127.0.0.1', localPort } }: IncomingMessage,
  scheme: 'http' | 'https',
): string {
  const plain = localAddress.replace(/^::ffff:/, '');
  const host = plain.includes(':') ? `[${plain.replace(/%.*$/, '')}]` : plain;
  return localPort === undefined || String(localPort) === PORT_OF[scheme] ? host : `${host}:${localPort}`;
}

/** The proxy next to this server adds its value last. */
function last(header: string | string[] | undefined): string | undefined {
  return header === undefined ? undefined : [header].flat().join(',').split(',').at(-1)?.trim();
}
