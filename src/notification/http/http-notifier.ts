import { createHmac, randomUUID } from 'node:crypto';
import { request, type Dispatcher } from 'undici';
import { ExplainedError } from '../../errors.js';
import { retryAfterMs } from '../../http-date.js';
import { createDispatcher, ProxyRefusal, refusalOfProxy } from '../../http-proxy.js';
import { brokerFailure, type BrokerAddress, type TlsFiles } from '../../broker/index.js';
import { nameOf, Notifier, NotNow, type ReleaseNotice } from '../notifier.js';

export interface HttpNotifierOptions {
  readonly name: string;
  readonly url: string;
  readonly address: BrokerAddress;
  readonly format: 'cloudevents' | 'slack';
  readonly memory: string;
  /** Secret to sign the body; undefined for none. */
  readonly secret: string | undefined;
  readonly authorization: string | undefined;
  readonly tls: TlsFiles;
}

/** Receivers refuse a body in the other format. */
const FORMAT_OPTION = '#format=';

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

  override readonly sendsChannels = true;

  override async publish(notice: ReleaseNotice, signal: AbortSignal): Promise<void> {
    const { format } = this.options;
    const body = JSON.stringify(format === 'slack' ? { text: textOf(notice) } : this.cloudEventOf(notice));
    const answer = await this.post(body, signal);
    if (answer.statusCode >= 200 && answer.statusCode < 300) return;
    const message = refusalOf(answer.statusCode, this.options.address);
    const header = answer.headers['retry-after'];
    const waitMs = retryAfterMs(typeof header === 'string' ? header : undefined);
    throw waitMs === undefined
      ? new ExplainedError(message)
      : new NotNow(message, Math.min(waitMs, MAX_RETRY_AFTER_MS));
  }

  override async close(): Promise<void> {
    await this.dispatcher.destroy();
  }

  /** Returns the answer, without its body. */
  private async post(body: string, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { format, secret, authorization, url, address } = this.options;
    try {
      const answer = await request(url, {
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
      return answer;
    } catch (error) {
      if (signal.aborted)
        throw new ExplainedError(
          `${address.shown} has not answered within the time limit. Check its log, and the host and port in NOTIFY`,
          { cause: error },
        );
      const failure = refusalOfProxy(error, new URL(url));
      if (failure instanceof ProxyRefusal)
        throw new ExplainedError(`cannot reach ${address.shown}: ${failure.message}`, { cause: failure });
      throw await brokerFailure(error, address, [], signal);
    }
  }

  /** CloudEvents 1.0, JSON format, section 3.1. */
  private cloudEventOf(notice: ReleaseNotice): object {
    let event = this.events.get(notice);
    if (!event) this.events.set(notice, (event = { id: randomUUID(), time: new Date().toISOString() }));
    const { device, channel, release } = notice;
    const data = { device, version: release?.version ?? null, size: release?.sizeBytes ?? null };
    // A receiver of releases must not take a stage of a rollout for the release of the device.
    const kind = channel === undefined ? 'release' : 'channel';
    return {
      specversion: '1.0',
      id: event.id,
      source: '/otaflux',
      type: `io.otaflux.${kind}.${release ? 'changed' : 'withdrawn'}`,
      subject: nameOf(notice),
      time: event.time,
      datacontenttype: 'application/json',
      data: channel === undefined ? data : { ...data, channel, percent: release ? (release.percent ?? 100) : null },
    };
  }
}

function textOf({ device, channel, release }: ReleaseNotice): string {
  if (channel !== undefined)
    return release
      ? `${device} ${release.version} is offered to ${release.percent ?? 100} % of the channel ${channel} (${release.sizeBytes} bytes)`
      : `${device} has no release in the channel ${channel} any more`;
  return release
    ? `${device} is now at ${release.version} (${release.sizeBytes} bytes)`
    : `${device} has no release any more`;
}

function refusalOf(status: number, address: BrokerAddress): string {
  return `${address.shown} answered ${status}, expected 200 to 299. ${statusAdvice(status, address)}`;
}

function statusAdvice(status: number, { hasLogin, options }: BrokerAddress): string {
  if (status >= 300 && status < 400)
    return `Redirects are not followed: use the address that it redirects to in ${options.url}`;
  if (status === 401 || status === 403)
    return `${hasLogin ? 'Correct' : 'Set'} ${options.login}, and check NOTIFY_SECRET`;
  if (status === 404 || status === 405) return `Check the path of the URL in ${options.url}`;
  return `Check its log, and the URL and ${FORMAT_OPTION} in ${options.url}`;
}
