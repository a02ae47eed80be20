import { BlockList, isIP } from 'node:net';
import { domainToASCII } from 'node:url';

type Rule = (host: string, port: string) => boolean;

/**
 * The hosts of `NO_PROXY`: names with their subdomains, addresses and networks, each with or without a port, and `*`.
 */
export class NoProxy {
  /** Entries that are not a host, an address or a network. They have no effect. */
  readonly unreadable: readonly string[];
  private readonly rules: readonly Rule[];

  constructor(value: string) {
    const rules: Rule[] = [];
    const unreadable: string[] = [];
    for (const entry of value.split(/[\s,]+/).filter(Boolean)) {
      const rule = ruleOf(entry.toLowerCase());
      if (rule) rules.push(rule);
      else unreadable.push(entry);
    }
    this.rules = rules;
    this.unreadable = unreadable;
  }

  covers({ protocol, hostname, port }: URL): boolean {
    const host = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
    return this.rules.some((matches) => matches(host, port || (protocol === 'https:' ? '443' : '80')));
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Returns the hosts that are reached without a proxy. */
export function noProxyOf(environment: Environment = process.env): NoProxy {
  return new NoProxy(variableIn(environment, 'no_proxy') ?? '');
}

/** Returns a proxy variable. The lower-case name takes precedence. An empty value counts as unset. */
export function variableIn(environment: Environment, name: string): string | undefined {
  return environment[name] || environment[name.toUpperCase()] || undefined;
}

/** Returns undefined for an entry that cannot be parsed. */
function ruleOf(entry: string): Rule | undefined {
  if (entry === '*') return () => true;
  const network = networkOf(entry);
  if (network) return (host) => isIP(host) !== 0 && network.check(host, familyOf(host));
  const [, bracketed, bracketedPort] = /^\[([^\]]*)\](?::(\d+))?$/.exec(entry) ?? [];
  const [, name = entry, namedPort] = /^([^:]*):(\d+)$/.exec(entry) ?? [];
  const wantedPort = bracketedPort ?? namedPort;
  const fits = hostRule(bracketed ?? name);
  if (!fits || Number(wantedPort ?? 0) > 65_535) return undefined;
  return (host, port) => (wantedPort === undefined || wantedPort === port) && fits(host);
}

function hostRule(text: string): ((host: string) => boolean) | undefined {
  if (isIP(text) !== 0) {
    const address = new BlockList();
    address.addAddress(text, familyOf(text));
    return (host) => isIP(host) !== 0 && address.check(host, familyOf(host));
  }
  const name = text.replace(/^\*?\./, '').replace(/\.$/, '');
  const domain = /^[\p{L}\p{N}\p{M}_.-]+$/u.test(name) ? domainToASCII(name) : '';
  if (domain === '') return undefined;
  return (host) => host === domain || host.endsWith(`.${domain}`);
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
