import { createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isOneOf, isSameText } from '../constant-time.js';
import type { WebhookSource } from './webhook-source.js';

/** Whether a request contains the secret: yes, no, or only the signature of its body can tell. */
export type Shown = 'yes' | 'no' | 'signed';

/** The webhook secrets. A sender must send one of them. Without any, all senders are accepted. */
export class WebhookSecrets {
  constructor(private readonly secrets: readonly string[]) {}

  get isOpen(): boolean {
    return this.secrets.length === 0;
  }

  /** Checks headers and query, before the body is read. */
  shownBy(request: IncomingMessage, source: WebhookSource): Shown {
    if (this.isShownBy(request, source.secretHeaders)) return 'yes';
    return source.signatureHeader && request.headers[source.signatureHeader] ? 'signed' : 'no';
  }

  /**
   * Returns whether a request contains one of the secrets in its query or in a header, including those in `more`.
   * Returns true if there are no secrets.
   */
  isShownBy(request: IncomingMessage, more: readonly string[] = []): boolean {
    return this.isOpen || this.candidates(request, more).some((candidate) => isOneOf(candidate, this.secrets));
  }

  /** Returns whether the header of `source` contains an HMAC-SHA256 of the raw body with one of the secrets. */
  hasSigned(request: IncomingMessage, source: WebhookSource, body: Buffer): boolean {
    const header = String(request.headers[source.signatureHeader ?? ''] ?? '')
      .replace(/^sha256=/, '')
      .toLowerCase();
    return this.secrets.some((secret) => isSameText(header, createHmac('sha256', secret).update(body).digest('hex')));
  }

  /**
   * Returns the texts that may be the secret: `Authorization: Bearer S`, bare `S`, Basic with S as the password;
   * `X-Webhook-Token`; the sender's own headers; `?token=`.
   */
  private candidates(request: IncomingMessage, secretHeaders: readonly string[]): string[] {
    const { authorization = '' } = request.headers;
    const headers = ['x-webhook-token', ...secretHeaders].map((name) => String(request.headers[name] ?? ''));
    const query = new URLSearchParams((request.url ?? '').split('?')[1] ?? '').get('token') ?? '';
    return [
      authorization,
      authorization.replace(/^Bearer +/i, ''),
      basicPassword(authorization),
      ...headers,
      query,
    ].filter(Boolean);
  }
}

function basicPassword(authorization: string): string {
  const encoded = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(authorization)?.[1];
  const text = encoded ? Buffer.from(encoded, 'base64').toString('utf8') : '';
  return text.slice(text.indexOf(':') + 1);
}
