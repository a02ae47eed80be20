import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ConfigError, reasonOf } from '../errors.js';
import { certificatesIn, privateKeyIn } from '../pem.js';
import { percentDecoded } from '../percent.js';

/** PEM texts, as Node's TLS and every driver take them. */
export interface TlsFiles {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** Options that every target takes, whatever its broker. */
const COMMON = ['topic', 'name', 'ca', 'cert', 'key'];
/** Where a target names no topic, and MQTT_TOPIC is not given. */
const DEFAULT_TOPIC = 'otaflux';

/**
 * One URL of NOTIFY, with the options that stand in its query, or behind its `#` where the query belongs to the
 * receiver. Every method throws ConfigError with one line that shows no password.
 */
export class Target {
  readonly scheme: string;
  private readonly options: URLSearchParams;

  constructor(
    readonly url: URL,
    private readonly defaultTopic: string | undefined,
    optionsBehindHash = false,
  ) {
    this.scheme = url.protocol.slice(0, -1);
    this.options = optionsBehindHash ? new URLSearchParams(url.hash.slice(1)) : url.searchParams;
  }

  /** Without user, password, query and fragment, which may be secrets. */
  get shown(): string {
    return `${this.url.protocol}//${this.url.host}`;
  }

  /** Names what was told to this receiver, and to no other, in STATE_DIR. */
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

  /** The option `name`; undefined when it is not given. */
  option(name: string): string | undefined {
    return this.options.get(name) ?? undefined;
  }

  /** The option `name`, which is one of `values`; the first of them when it is not given. */
  choice<const T extends string>(name: string, values: readonly [T, ...T[]]): T {
    const given = this.options.get(name);
    if (given === null) return values[0];
    const value = values.find((known) => known === given);
    if (value === undefined) throw this.wrong(`${name}=${given}`, values.map((known) => `${name}=${known}`).join(', '));
    return value;
  }

  /** The topic, which `isGood` for the broker; `takes` says what would be. */
  topic(isGood: (topic: string) => boolean, takes: string): string {
    const topic = (this.option('topic') ?? (this.defaultTopic || DEFAULT_TOPIC)).replaceAll(/^\/+|\/+$/g, '');
    if (!topic || !isGood(topic)) throw this.wrong(`topic=${topic}`, takes);
    return topic;
  }

  /** The PEM files that `ca`, `cert` and `key` name. */
  tlsFiles(): TlsFiles {
    const where = `NOTIFY: ${this.shown}`;
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

  /** Refuses options that neither every target takes nor `own` names: most likely they are misspelt. */
  demandKnown(...own: string[]): void {
    const known = [...COMMON, ...own];
    for (const name of this.options.keys())
      if (!known.includes(name)) throw this.wrong(`the option ${name}`, known.join(', '));
  }

  wrong(got: string, takes: string): ConfigError {
    return new ConfigError(`NOTIFY: ${this.shown}: got ${got}, expected ${takes}`);
  }
}

/** What a PEM file of an option is for. */
export type PemUse = 'ca' | 'cert' | 'key';

/** A PEM file that an option names; throws ConfigError when it cannot be read or holds something else. */
export function readPem(option: string, path: string, use: PemUse): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new ConfigError(`${option}: cannot read ${JSON.stringify(path)}: ${reasonOf(error)}`, { cause: error });
  }
  try {
    if (use === 'key') privateKeyIn(bytes.toString('utf8'));
    else certificatesIn(bytes.toString('utf8'));
  } catch (error) {
    throw new ConfigError(`${option}: ${JSON.stringify(path)}: ${reasonOf(error)}`, { cause: error });
  }
  return bytes;
}

/** Throws ConfigError when the key of a client is not that of its certificate. */
export function demandPair(option: string, { cert, key }: TlsFiles): void {
  if (!cert || !key) return;
  const [certificate] = certificatesIn(cert.toString('utf8'));
  if (certificate?.checkPrivateKey(privateKeyIn(key.toString('utf8')))) return;
  throw new ConfigError(`${option}: the key does not belong to the certificate. Give the key that it was issued for`);
}
