import { BlockList, isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { Agent, Dispatcher, Pool, ProxyAgent } from 'undici';
import { ConfigError } from './errors.js';

/** How connections of an HTTP client of ours are made. */
export interface ConnectionSettings {
  /** To the server that is spoken to, through a proxy or not. */
  readonly tls?: Pick<ConnectionOptions, 'ca' | 'cert' | 'key'> | undefined;
  /** Longest time until a connection stands, until headers come, and between two pieces of a body, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** Connections to each host. */
  readonly connections?: number | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * An HTTP client's connections, through the proxies that the environment names: `HTTPS_PROXY` for https, `HTTP_PROXY`
 * for http, neither for what `NO_PROXY` names. Plain http is sent to the proxy in absolute form (RFC 9112, section 3.2.2).
 * Throws ConfigError for a proxy that cannot be used.
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
    new NoProxy(variable('no_proxy', environment) ?? ''),
  );
}

/** The lower-case name counts first; an empty value is none. */
function variable(name: string, environment: Environment): string | undefined {
  return environment[name] || environment[name.toUpperCase()] || undefined;
}

/** `http[s]://[user:password@]host[:port]`, or without the scheme, which is http then. */
function proxyUrl(name: string, environment: Environment): URL | undefined {
  const value = variable(name, environment)?.trim();
  if (!value) return undefined;
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // The value may hold a password.
  if (!url?.hostname || !/^https?:$/.test(url.protocol))
    throw new ConfigError(
      `${name.toUpperCase()}: is no proxy that can be used, takes http://[user:password@]host[:port]`,
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

/** https goes through a tunnel (CONNECT), in which our certificate and authorities are for the server at its end. */
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

/** A proxy is trusted by the same authorities, but gets no certificate of ours. */
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

/** Sends requests for plain http to a proxy as they are, with the whole URL in the request line. */
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

/** Chooses for each request whether it goes through a proxy, and through which. */
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

/** The hosts of `NO_PROXY`: names with all below them, addresses, networks, each with a port or without, and `*`. */
export class NoProxy {
  private readonly rules: ((host: string, port: string) => boolean)[] = [];

  constructor(value: string) {
    for (const entry of value.split(/[\s,]+/)) if (entry) this.rules.push(ruleOf(entry.toLowerCase()));
  }

  covers({ protocol, hostname, port }: URL): boolean {
    const host = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
    return this.rules.some((matches) => matches(host, port || (protocol === 'https:' ? '443' : '80')));
  }
}

function ruleOf(entry: string): (host: string, port: string) => boolean {
  if (entry === '*') return () => true;
  const network = networkOf(entry);
  if (network) return (host) => isIP(host) !== 0 && network.check(host, familyOf(host));
  const [, bracketed, bracketedPort] = /^\[([^\]]*)\](?::(\d+))?$/.exec(entry) ?? [];
  const [, name = entry, namedPort] = /^([^:]*):(\d+)$/.exec(entry) ?? [];
  const text = bracketed ?? name;
  const wantedPort = bracketedPort ?? namedPort;
  const fits = hostRule(text);
  return (host, port) => (wantedPort === undefined || wantedPort === port) && fits(host);
}

function hostRule(text: string): (host: string) => boolean {
  if (isIP(text) !== 0) {
    const address = new BlockList();
    address.addAddress(text, familyOf(text));
    return (host) => isIP(host) !== 0 && address.check(host, familyOf(host));
  }
  const domain = text.replace(/^\*?\./, '').replace(/\.$/, '');
  return (host) => domain !== '' && (host === domain || host.endsWith(`.${domain}`));
}

/** A network such as 10.0.0.0/8 or fd00::/8; undefined when `entry` is none. */
function networkOf(entry: string): BlockList | undefined {
  const [, address = '', bits = ''] = /^\[?([^\]/]+)\]?\/(\d{1,3})$/.exec(entry) ?? [];
  if (isIP(address) === 0 || Number(bits) > (isIP(address) === 4 ? 32 : 128)) return undefined;
  const network = new BlockList();
  network.addSubnet(address, Number(bits), familyOf(address));
  return network;
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6';
}
