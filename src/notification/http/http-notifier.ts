import { createHmac, randomUUID } from 'node:crypto';
import { request, type Dispatcher } from 'undici';
import { retryAfterMs } from '../../http-date.js';
import { createDispatcher } from '../../http-proxy.js';
import { Notifier, NotNow, type ReleaseNotice } from '../notifier.js';
import type { TlsFiles } from '../target.js';

export interface HttpNotifierOptions {
  readonly name: string;
  readonly url: string;
  readonly format: 'cloudevents' | 'slack';
  readonly memory: string;
  /** Secret to sign the body; undefined for none. */
  readonly secret: string | undefined;
  readonly authorization: string | undefined;
  readonly tls: TlsFiles;
}

interface Event {
  readonly id: string;
  readonly time: string;
}

/** Longer waits are most likely a mistake. The backoff continues meanwhile. */
const MAX_RETRY_AFTER_MS = 300_000;

/**
 * Sends HTTP requests: CloudEvents 1.0 in structured mode, or the text that Slack, Mattermost and Rocket.Chat accept.
 * Any 2xx confirms. The receiver keeps nothing that could be read back, so STATE_DIR remembers what was sent.
 */
export class HttpNotifier extends Notifier {
  override readonly name: string;
  /** Receivers of webhooks are small. */
  override readonly concurrency = 4;
  private readonly dispatcher: Dispatcher;
  /** A repeated notice is the same event, so that a receiver can recognize it. */
  private readonly events = new WeakMap<ReleaseNotice, Event>();

  constructor(private readonly options: HttpNotifierOptions) {
    super();
    this.name = options.name;
    this.dispatcher = createDispatcher({ tls: options.tls });
  }

  override get memory(): string {
    return `${this.name}-${this.options.memory}`;
  }

  override async publish(notice: ReleaseNotice, signal: AbortSignal): Promise<void> {
    const { format, secret, authorization } = this.options;
    const body = JSON.stringify(format === 'slack' ? { text: textOf(notice) } : this.cloudEventOf(notice));
    const answer = await request(this.options.url, {
      method: 'POST',
      dispatcher: this.dispatcher,
      signal,
      headers: {
        'content-type': format === 'slack' ? 'application/json' : 'application/cloudevents+json; charset=utf-8',
        'user-agent': 'otaflux',
        ...(authorization !== undefined && { authorization }),
        ...(secret !== undefined && {
          'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
        }),
      },
      body,
    });
    await answer.body.dump();
    if (answer.statusCode >= 200 && answer.statusCode < 300) return;
    const message = `the receiver answered ${answer.statusCode}, expected 200 to 299. Check its log`;
    const header = answer.headers['retry-after'];
    const waitMs = retryAfterMs(typeof header === 'string' ? header : undefined);
    throw waitMs === undefined ? new Error(message) : new NotNow(message, Math.min(waitMs, MAX_RETRY_AFTER_MS));
  }

  override async close(): Promise<void> {
    await this.dispatcher.destroy();
  }

  /** CloudEvents 1.0, JSON format, section 3.1. */
  private cloudEventOf(notice: ReleaseNotice): object {
    let event = this.events.get(notice);
    if (!event) this.events.set(notice, (event = { id: randomUUID(), time: new Date().toISOString() }));
    const { device, release } = notice;
    return {
      specversion: '1.0',
      id: event.id,
      source: '/otaflux',
      type: release ? 'io.otaflux.release.changed' : 'io.otaflux.release.withdrawn',
      subject: device,
      time: event.time,
      datacontenttype: 'application/json',
      data: { device, version: release?.version ?? null, size: release?.sizeBytes ?? null },
    };
  }
}

function textOf({ device, release }: ReleaseNotice): string {
  return release
    ? `${device} is now at ${release.version} (${release.sizeBytes} bytes)`
    : `${device} has no release any more`;
}
