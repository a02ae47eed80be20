import { readFileSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import { request as send, type Dispatcher } from 'undici';
import { link } from '../../abort.js';
import { ConfigError, OtaError, reasonOf } from '../../errors.js';
import { fileProblem } from '../../file-problem.js';
import { createDispatcher, ProxyRefusal } from '../../http-proxy.js';
import { certificatesIn } from '../../pem.js';
import { timerMs } from '../../timers.js';
import { discard, header, type RegistryRequest, type RegistryResponse, type Transport } from './transport.js';
import { unreachable } from './unreachable.js';

export interface HttpTransportOptions {
  /** The origin of REGISTRY_URL. */
  origin: string;
  /** Longest pause before the headers and between two pieces of a body, in milliseconds. */
  timeoutMs: number;
  /** PEM file with authorities to trust in addition to those of the system. */
  caCertPath?: string | undefined;
}

/** oras-go and containers/image follow at least as many. Object storage needs one or two. */
const MAX_REDIRECTS = 5;
const LATE = 'no answer within the time limit';
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Enough for a burst of first requests, and few enough for a small registry. */
const CONNECTIONS_PER_HOST = 32;

/**
 * HTTP over one connection pool, through the proxies of the environment. Follows redirects of read requests, without
 * credentials if the origin changes, and never from https to http.
 */
export class HttpTransport implements Transport {
  private readonly dispatcher: Dispatcher;

  constructor(private readonly options: HttpTransportOptions) {
    const ca = options.caCertPath === undefined ? undefined : [...rootCertificates, readAuthority(options.caCertPath)];
    this.dispatcher = createDispatcher({
      connections: CONNECTIONS_PER_HOST,
      timeoutMs: timerMs(options.timeoutMs),
      tls: ca && { ca },
    });
  }

  async send(request: RegistryRequest): Promise<RegistryResponse> {
    let url = request.url;
    let headers = request.headers ?? {};
    for (let hops = 0; ; hops++) {
      const response = await this.exchange(request, url, headers);
      const location = header(response, 'location');
      if (!REDIRECTS.has(response.status) || !isRead(request) || location === undefined) return response;
      discard(response);
      if (hops === MAX_REDIRECTS)
        throw new OtaError(
          'protocol',
          `${request.url.host} redirects more than ${MAX_REDIRECTS} times. Check --registry-url and the registry`,
        );
      const target = redirectTarget(location, url);
      if (target.origin !== url.origin) headers = withoutCredentials(headers);
      url = target;
    }
  }

  async close(): Promise<void> {
    await this.dispatcher.destroy();
  }

  private async exchange(
    request: RegistryRequest,
    url: URL,
    headers: Readonly<Record<string, string>>,
  ): Promise<RegistryResponse> {
    // Each exchange has its own signal until the body of its response was read or destroyed.
    // What is left of the limit, after redirects and retries, is no figure that a user knows.
    const { signal, end } = link([request.signal], request.deadlineMs - performance.now(), LATE);
    try {
      const {
        statusCode,
        headers: received,
        body,
      } = await send(url, {
        dispatcher: this.dispatcher,
        method: request.method,
        headers: { 'user-agent': 'otaflux', 'accept-encoding': 'identity', ...headers },
        body: request.body ?? null,
        signal,
      });
      body.once('close', end);
      if (statusCode === 407) {
        body.on('error', () => undefined).resume();
        throw new ProxyRefusal(statusCode, url);
      }
      const redirected = url.origin !== request.url.origin;
      return {
        status: statusCode,
        headers: received,
        body,
        url,
        ...(redirected && { redirectedFrom: request.url.host }),
      };
    } catch (error) {
      end();
      throw await unreachable(error, {
        url,
        home: this.options.origin,
        hasAuthority: this.options.caCertPath !== undefined,
        signal: request.signal,
      });
    }
  }
}

/**
 * Reads PEM text with certificates, and checks it: Node.js would accept any text, and trust no additional authority.
 */
function readAuthority(path: string): string {
  const option = '--registry-ca-cert-path';
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`${option}: cannot read ${JSON.stringify(path)}: ${fileProblem(error)}`, { cause: error });
  }
  try {
    certificatesIn(text);
  } catch (error) {
    throw new ConfigError(`${option}: ${JSON.stringify(path)}: ${reasonOf(error)}`, { cause: error });
  }
  return text;
}

function isRead(request: RegistryRequest): boolean {
  return request.method === 'GET' || request.method === 'HEAD';
}

function redirectTarget(location: string, from: URL): URL {
  if (!URL.canParse(location, from.href))
    throw new OtaError(
      'protocol',
      `${from.host} redirects to something that is not a URL. Check proxies in front of it`,
    );
  const target = new URL(location, from.href);
  const downgraded = from.protocol === 'https:' && target.protocol !== 'https:';
  if (downgraded || !/^https?:$/.test(target.protocol)) {
    throw new OtaError(
      'protocol',
      `${from.host} redirects from ${from.protocol} to ${target.protocol}, which is not followed. Check the address in the configuration of the registry`,
    );
  }
  return target;
}

function withoutCredentials(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !/^(?:authorization|cookie)$/i.test(name)));
}
