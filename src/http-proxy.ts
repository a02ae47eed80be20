import type { ConnectionOptions } from 'node:tls';
import { Agent, Dispatcher, Pool, ProxyAgent } from 'undici';
import { ConfigError, codeOf } from './errors.js';
import { noProxyOf, variableIn, type NoProxy } from './no-proxy.js';

/** How an HTTP client makes its connections. */
export interface ConnectionSettings {
  /** TLS options for the target server, which apply with and without a proxy. */
  readonly tls?: Pick<ConnectionOptions, 'ca' | 'cert' | 'key'> | undefined;
  /** Longest time to connect, to receive the headers, and between two pieces of a body, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** Maximum number of connections to each host. */
  readonly connections?: number | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Returns the dispatcher of an HTTP client. It uses the proxies of the environment: `HTTPS_PROXY` for https,
 * `HTTP_PROXY` for http, none for the hosts in `NO_PROXY`. Requests for plain http are sent to the proxy in absolute
 * form (RFC 9112, section 3.2.2). Throws ConfigError for a proxy that cannot be used.
 */
export function createDispatcher(
  settings: ConnectionSettings = {},
  environment: Environment = process.env,
): Dispatcher {
  const http = proxyUrl('http_proxy', environment);
  const https = proxyUrl('https_proxy', environment);
  const direct = new Agent(agentOptions(settings));
  if (!http && !https) return direct;
  return new ProxiedDispatcher(
    direct,
    http && new AbsoluteFormProxy(http, settings),
    https && tunnel(https, settings),
    noProxyOf(environment),
  );
}

/** A proxy from the environment, and the variable that contains it. */
export interface NamedProxy {
  readonly variable: 'HTTP_PROXY' | 'HTTPS_PROXY';
  readonly host: string;
  /** Whether its URL contains a user name. */
  readonly hasUser: boolean;
}

/** Returns the proxy for a request to `url`, or undefined if it uses none. */
export function proxyFor(url: URL, environment: Environment = process.env): NamedProxy | undefined {
  const name = url.protocol === 'https:' ? 'https_proxy' : 'http_proxy';
  const proxy = proxyUrl(name, environment);
  if (!proxy || noProxyOf(environment).covers(url)) return undefined;
  return {
    variable: name === 'https_proxy' ? 'HTTPS_PROXY' : 'HTTP_PROXY',
    host: proxy.host,
    hasUser: proxy.username !== '',
  };
}

/** A response of the proxy itself instead of the target server. */
export class ProxyRefusal extends Error {
  constructor(
    readonly status: number,
    url: URL,
  ) {
    super(describeRefusal(status, url));
    this.name = 'ProxyRefusal';
  }
}

function describeRefusal(status: number, url: URL): string {
  const { variable: name, hasUser } = proxyFor(url) ?? { variable: 'HTTP_PROXY', hasUser: false };
  if (status !== 407)
    return `the proxy of ${name} answered ${status}. Check its rules, or name ${url.hostname} in NO_PROXY`;
  return hasUser
    ? `the proxy answered 407: it does not accept the user and password in ${name}. Correct them`
    : `the proxy answered 407: it requires a user name and password. Set ${name}=http://USER:PASSWORD@HOST:PORT`;
}

/** Returns `error` of a request to `url`, or a ProxyRefusal if undici reports that the proxy opened no tunnel. */
export function refusalOfProxy(error: unknown, url: URL): unknown {
  if (codeOf(error) !== 'UND_ERR_ABORTED' || !(error instanceof Error)) return error;
  const [, status] = /^Proxy response \((\d{3})\)/.exec(error.message) ?? [];
  return status === undefined ? error : new ProxyRefusal(Number(status), url);
}

/** Parses `http[s]://[user:password@]host[:port]`. Without a scheme, it is http. */
function proxyUrl(name: string, environment: Environment): URL | undefined {
  const value = variableIn(environment, name)?.trim();
  if (!value) return undefined;
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // The value may contain a password.
  if (!url?.hostname || !/^https?:$/.test(url.protocol))
    throw new ConfigError(
      `${name.toUpperCase()}: got a value that is not shown, because it may hold a password. Expected http://[user:password@]host[:port]`,
    );
  return url;
}

function agentOptions({ tls, timeoutMs, connections }: ConnectionSettings): Agent.Options {
  return {
    connect: { ...(timeoutMs !== undefined && { timeout: timeoutMs }), ...tls },
    ...(connections !== undefined && { connections }),
    ...(timeoutMs !== undefined && { headersTimeout: timeoutMs, bodyTimeout: timeoutMs }),
  };
}

/** For https, opens a tunnel (CONNECT). The client certificate and the authorities are for the server at its end. */
function tunnel(proxy: URL, settings: ConnectionSettings): ProxyAgent {
  const token = authorizationOf(proxy);
  const { connect, ...options } = agentOptions(settings);
  return new ProxyAgent({
    ...options,
    uri: new URL('/', proxy.origin).href,
    ...(token !== undefined && { token }),
    requestTls: connect as ProxyAgent.Options['requestTls'],
    proxyTls: proxyTls(settings),
  } as ProxyAgent.Options);
}

/** Returns the TLS options for the proxy: the same authorities, but no client certificate. */
function proxyTls({ tls, timeoutMs }: ConnectionSettings): object {
  return { ...(timeoutMs !== undefined && { timeout: timeoutMs }), ...(tls?.ca !== undefined && { ca: tls.ca }) };
}

function authorizationOf({ username, password }: URL): string | undefined {
  if (!username && !password) return undefined;
  return `Basic ${Buffer.from(`${unescaped(username)}:${unescaped(password)}`).toString('base64')}`;
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Sends requests for plain http to a proxy unchanged, with the complete URL in the request line. */
class AbsoluteFormProxy extends Dispatcher {
  private readonly pool: Pool;
  private readonly authorization: string | undefined;

  constructor(proxy: URL, settings: ConnectionSettings) {
    super();
    const { connections, ...options } = agentOptions(settings);
    this.pool = new Pool(proxy.origin, { ...options, connections: connections ?? null, connect: proxyTls(settings) });
    this.authorization = authorizationOf(proxy);
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const target = new URL(options.path, options.origin);
    const headers = {
      host: target.host,
      ...(options.headers as Record<string, string>),
      ...(this.authorization !== undefined && { 'proxy-authorization': this.authorization }),
    };
    return this.pool.dispatch({ ...options, path: target.origin + options.path, headers }, handler);
  }

  override async close(): Promise<void> {
    await this.pool.close();
  }

  override async destroy(): Promise<void> {
    await this.pool.destroy();
  }
}

/** Selects the proxy for each request, or none. */
class ProxiedDispatcher extends Dispatcher {
  constructor(
    private readonly direct: Dispatcher,
    private readonly http: Dispatcher | undefined,
    private readonly https: Dispatcher | undefined,
    private readonly noProxy: NoProxy,
  ) {
    super();
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const url = new URL(options.origin ?? '');
    const proxy = url.protocol === 'https:' ? this.https : this.http;
    return (proxy && !this.noProxy.covers(url) ? proxy : this.direct).dispatch(options, handler);
  }

  override async close(): Promise<void> {
    await Promise.all(this.all.map((dispatcher) => dispatcher.close()));
  }

  override async destroy(): Promise<void> {
    await Promise.all(this.all.map((dispatcher) => dispatcher.destroy()));
  }

  private get all(): Dispatcher[] {
    return [this.direct, this.http, this.https].filter((dispatcher) => dispatcher !== undefined);
  }
}
