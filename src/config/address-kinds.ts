import { isAbsolute } from 'node:path';
import * as json from './json-schema.js';
import { kind, listOf, Unreadable, type Kind } from './kind.js';
import { registryUrlInstead } from './registry-url-mistakes.js';
import { hasWrongPort, URL_WITH_PORT } from './url-port.js';

/** An address on which a server listens. */
export interface ListenAddress {
  readonly host: string;
  /** 0: the operating system selects a free port. */
  readonly port: number;
}

export const listenAddress = kind(
  'host:port',
  json.listenAddress,
  'HOST:PORT such as 0.0.0.0:8080, [::]:8080 or :8080',
  (value): ListenAddress | undefined => {
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]*)):(\d{1,5})$/.exec(value);
    const port = Number(match?.[3]);
    return match && port <= 65_535 ? { host: match[1] ?? (match[2] || '0.0.0.0'), port } : undefined;
  },
);

/** The URL of the device port as devices reach it, without a slash at the end. A proxy may add a path. */
export const publicUrl = kind(
  'url',
  json.httpUrl,
  'a URL such as https://ota.example.com, without query',
  (value): string | undefined => {
    if (!/^https?:\/\//i.test(value) || /[\s\\]/.test(value)) return undefined;
    if (hasWrongPort(value)) throw new Unreadable(URL_WITH_PORT);
    const url = parseUrl(value);
    if (!url?.hostname || url.search || url.hash || url.username || url.password) return undefined;
    return url.href.replace(/\/+$/, '');
  },
);

/** The location of the registry: an HTTP origin with the path that precedes every repository, or a folder. */
export type RegistryLocation =
  | { readonly kind: 'http'; readonly origin: string | undefined; readonly host: string; readonly path: string }
  | { readonly kind: 'layout'; readonly directory: string };

/** A user or a password before the host, whatever characters they contain. A digest has an @, too. */
const WITH_LOGIN = /^(?:https?:\/\/)?(?!\w+:\/\/).*@(?!sha\d+:)/is;

/** `origin` is undefined for a URL without a scheme. REGISTRY_INSECURE then selects http or https. */
export const registryUrl = kind(
  'url',
  json.registryUrl,
  'https://host[:port][/path], http://…, host[:port] or oci:DIR',
  (value): RegistryLocation | undefined => {
    const instead = registryUrlInstead(value);
    if (instead !== undefined) throw new Unreadable(instead);
    if (value.startsWith('oci:')) {
      const directory = value.slice('oci:'.length).replace(/^\/\/(?=\/)/, '');
      return directory ? { kind: 'layout', directory } : undefined;
    }
    if (hasWrongPort(value)) throw new Unreadable(URL_WITH_PORT);
    if (WITH_LOGIN.test(value))
      throw new Unreadable(
        'a URL without user and password: give them as REGISTRY_USERNAME and REGISTRY_PASSWORD_FILE',
      );
    // A URL parser takes a backslash for a slash, and drops line ends.
    if (/[\s\\]/.test(value)) return undefined;
    const schemed = /^https?:\/\//i.test(value);
    if (!schemed && (value.includes('://') || isAbsolute(value) || value.startsWith('.'))) return undefined;
    const url = parseUrl(schemed ? value : `https://${value}`);
    if (!url?.hostname || url.search || url.hash) return undefined;
    return {
      kind: 'http',
      origin: schemed ? url.origin : undefined,
      host: url.host,
      path: url.pathname.replaceAll(/^\/+|\/+$/g, ''),
    };
  },
);

/** A URL of one of `schemes`, kept as text because it may hold credentials and has no single shape. */
export function url(schemes: readonly string[]): Kind<string> {
  return kind(
    'url',
    json.urlOf(schemes),
    `a URL that begins with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`,
    (value) => {
      if (hasWrongPort(value)) throw new Unreadable(URL_WITH_PORT);
      const parsed = parseUrl(value);
      return parsed?.hostname && schemes.includes(parsed.protocol.slice(0, -1)) ? value : undefined;
    },
  );
}

/** Several URLs of `schemes`; a comma before a scheme parts them, so that one URL may name several hosts. */
export function urls(schemes: readonly string[]): Kind<string[]> {
  const takes = `URLs that begin with ${schemes.map((scheme) => `${scheme}://`).join(', ')}`;
  const isOne = (value: string): boolean => {
    const scheme = /^([a-z+]+):\/\/[^/]/.exec(value)?.[1];
    return scheme !== undefined && schemes.includes(scheme);
  };
  const several = listOf('url,url', json.urlsOf(schemes), takes, (text) => text.split(/[,\s]+(?=[a-z+]+:\/\/)/));
  return {
    ...several,
    read: (written) => {
      const found = several.read(written);
      if (found.length === 0 || !found.every(isOne)) throw new Unreadable(takes);
      if (found.some(hasWrongPort)) throw new Unreadable(URL_WITH_PORT);
      return found;
    },
  };
}

/** A URL of one of `schemes` that may name several hosts, separated by commas. */
export function redisUrl(schemes: readonly string[]): Kind<string> {
  return kind(
    'url',
    json.redisUrlOf(schemes),
    `a URL that begins with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`,
    (value) => {
      if (hasWrongPort(value)) throw new Unreadable(URL_WITH_PORT);
      const [, scheme = '', login = '', hosts = '', rest = ''] =
        /^([a-z+]+):\/\/([^/?#]*@)?([^/?#\s]+)([/?#]\S*)?$/.exec(value) ?? [];
      const isUrl = (host: string): boolean => parseUrl(`${scheme}://${login}${host}${rest}`)?.hostname !== undefined;
      return schemes.includes(scheme) && hosts.split(',').every((host) => host !== '' && isUrl(host))
        ? value
        : undefined;
    },
  );
}

function parseUrl(value: string): URL | undefined {
  return URL.canParse(value) ? new URL(value) : undefined;
}
