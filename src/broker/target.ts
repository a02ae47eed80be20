import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ConfigError, reasonOf } from '../errors.js';
import { fileProblem } from '../file-problem.js';
import { certificatesIn, privateKeyIn } from '../pem.js';
import { percentDecoded } from '../percent.js';

/** The options that contain URLs of brokers. */
export type BrokerOption = 'NOTIFY' | 'EVENTS' | 'REDIS_URL';

/** PEM texts, as Node's TLS and all client libraries accept them. */
export interface TlsFiles {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** Options of every target. */
const COMMON = ['topic', 'name', 'ca', 'cert', 'key'];
/** Topic of a target without one, if MQTT_TOPIC is not set. */
const DEFAULT_TOPIC = 'otaflux';

/**
 * One URL of NOTIFY or EVENTS with its options. They are in its query, or after `#` if the query belongs to the receiver. Every
 * method throws ConfigError with one line that contains no password.
 */
export class Target {
  readonly scheme: string;
  private readonly options: URLSearchParams;

  constructor(
    readonly url: URL,
    private readonly defaultTopic: string | undefined,
    readonly optionsBehindHash = false,
    /** The option that contains the URL, for messages. */
    readonly variable: BrokerOption = 'NOTIFY',
  ) {
    this.scheme = url.protocol.slice(0, -1);
    this.options = optionsBehindHash ? new URLSearchParams(url.hash.slice(1)) : url.searchParams;
  }

  /** The URL without user, password, query and fragment, which may be secrets. */
  get shown(): string {
    return `${this.url.protocol}//${this.url.host}`;
  }

  /** Name of the file in STATE_DIR for this receiver, different from that of other receivers. */
  get fingerprint(): string {
    const { protocol, host, pathname, search } = this.url;
    const seen = [protocol, host, pathname, search].join('\n');
    return createHash('sha256').update(seen).digest('hex').slice(0, 12);
  }

  get username(): string | undefined {
    return percentDecoded(this.url.username) || undefined;
  }

  get password(): string | undefined {
    return percentDecoded(this.url.password) || undefined;
  }

  /** Returns the option `name`, or undefined if it is not set. */
  option(name: string): string | undefined {
    return this.options.get(name) ?? undefined;
  }

  /** Returns the option `name`, which must be one of `values`. Default: the first of them. */
  choice<const T extends string>(name: string, values: readonly [T, ...T[]]): T {
    const given = this.options.get(name);
    if (given === null) return values[0];
    const value = values.find((known) => known === given);
    if (value === undefined) throw this.wrong(`${name}=${given}`, values.map((known) => `${name}=${known}`).join(', '));
    return value;
  }

  /**
   * Returns the topic. It must be valid for the broker according to `isGood`. `takes` describes valid topics in the
   * error.
   */
  topic(isGood: (topic: string) => boolean, takes: string): string {
    const topic = (this.option('topic') ?? (this.defaultTopic || DEFAULT_TOPIC)).replaceAll(/^\/+|\/+$/g, '');
    if (!topic || !isGood(topic)) throw this.wrong(`topic=${topic}`, takes);
    return topic;
  }

  /** Returns the option `name`, otherwise `base`, with a number if it is taken. */
  name(base: string, taken: readonly string[]): string {
    const given = this.option('name');
    if (given !== undefined) {
      if (!/^[A-Za-z0-9._-]{1,64}$/.test(given))
        throw this.wrong(`name=${given}`, 'a name of letters, digits, ., _ and -');
      if (taken.includes(given)) throw this.wrong(`name=${given} twice`, 'a name for each');
      return given;
    }
    let name = base;
    for (let i = 2; taken.includes(name); i++) name = `${base}-${i}`;
    return name;
  }

  /** Returns the content of the PEM files of `ca`, `cert` and `key`. */
  tlsFiles(): TlsFiles {
    const where = `${this.variable}: ${this.shown}`;
    const read = (use: PemUse): TlsFiles => {
      const path = this.option(use);
      return path === undefined ? {} : { [use]: readPem(`${where}: ${use}`, path, use) };
    };
    if ((this.option('cert') === undefined) !== (this.option('key') === undefined))
      throw this.wrong(this.option('cert') === undefined ? 'key alone' : 'cert alone', 'both cert and key');
    const files = { ...read('ca'), ...read('cert'), ...read('key') };
    demandPair(`${where}: cert, key`, files);
    return files;
  }

  /** Throws for options that are neither in `own` nor options of every target: most likely they are misspelt. */
  demandKnown(...own: string[]): void {
    const known = [...COMMON, ...own];
    for (const name of this.options.keys())
      if (!known.includes(name)) throw this.wrong(`the option ${name}`, known.join(', '));
  }

  wrong(got: string, takes: string): ConfigError {
    return new ConfigError(`${this.variable}: ${this.shown}: got ${got}, expected ${takes}`);
  }
}

/** The purpose of a PEM file. */
export type PemUse = 'ca' | 'cert' | 'key';

/** Returns the content of a PEM file. Throws ConfigError if it cannot be read or contains something else. */
export function readPem(option: string, path: string, use: PemUse): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new ConfigError(`${option}: cannot read ${JSON.stringify(path)}: ${fileProblem(error)}`, { cause: error });
  }
  try {
    if (use === 'key') privateKeyIn(bytes.toString('utf8'));
    else certificatesIn(bytes.toString('utf8'));
  } catch (error) {
    throw new ConfigError(`${option}: ${JSON.stringify(path)}: ${reasonOf(error)}`, { cause: error });
  }
  return bytes;
}

/** Throws ConfigError if the client key does not belong to the client certificate. */
export function demandPair(option: string, { cert, key }: TlsFiles): void {
  if (!cert || !key) return;
  const [certificate] = certificatesIn(cert.toString('utf8'));
  if (certificate?.checkPrivateKey(privateKeyIn(key.toString('utf8')))) return;
  throw new ConfigError(`${option}: the key does not belong to the certificate. Give the key that it was issued for`);
}

/** Parses a URL with one or several hosts, separated by commas. The URL has the first host, `hosts` has all. */
export function urlOf(variable: BrokerOption, text: string): URL {
  const [, before = '', hosts = '', rest = ''] = /^([a-z+]+:\/\/(?:[^/?#]*@)?)([^/?#]*)(.*)$/.exec(text) ?? [];
  const [first = '', ...others] = hosts.split(',');
  const url = URL.canParse(before + first + rest) ? new URL(before + first + rest) : undefined;
  if (!url)
    throw new Target(new URL(`${text.slice(0, text.indexOf(':'))}://-`), undefined, false, variable).wrong(
      'a URL that cannot be read',
      'a URL such as mqtt://broker.example.com:1883',
    );
  if (others.length > 0) url.searchParams.set('hosts', hosts);
  return url;
}
