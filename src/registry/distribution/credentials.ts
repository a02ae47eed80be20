import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { ConfigError } from '../../errors.js';
import { fileProblem } from '../../file-problem.js';
import { schemaProblem } from '../../schema-problem.js';

/** Credentials for a registry: a user with a password, or an identity token that is exchanged for access tokens. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
  readonly identityToken?: string | undefined;
}

/** Returns the credentials for a repository, or undefined for anonymous access. */
export type CredentialSource = (repository: string | undefined) => Credentials | undefined;

/** Advice for the person who configured the credentials, as sentences without a full stop. */
export interface CredentialAdvice {
  /** Completes "credentials are needed". */
  readonly missing: string;
  readonly wrong: string;
}

/** A text. Null, an empty text and other types count as missing. */
const text = z.string().min(1).optional().catch(undefined);
/** Each entry is parsed separately, so that an error in the entry of another registry has no effect. */
const configFile = z.object({
  auths: z.record(z.string(), z.unknown()).nullish(),
  credHelpers: z.record(z.string(), text).nullish().catch(undefined),
  credsStore: text,
});
const authSchema = z.object({
  auth: z.unknown().optional(),
  username: text,
  password: z.string().optional().catch(undefined),
  identitytoken: text,
});

/** The host names of Docker Hub in docker's config file. */
const DOCKER_HUB = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];

/**
 * Returns the credentials in a docker or podman `config.json` (containers-auth.json(5)). Keys may be `host`,
 * `host:port`, `https://host/v1/` or `host/path`. The longest key that matches a repository wins.
 *
 * @throws ConfigError if the file cannot be read, if none of its entries for `host` can be used, or if it refers to a
 *   credential helper for `host`, because helpers are not run
 */
export function readAuthFile(path: string, host: string): CredentialSource {
  const config = load(path);
  const hosts = DOCKER_HUB.includes(host) ? DOCKER_HUB : [host];
  const entries = Object.entries(config.auths ?? {})
    .map(([key, auth]) => ({ key: normalize(key), name: key, credentials: credentialsOf(auth) }))
    .filter(({ key }) => hosts.includes(key.split('/')[0] ?? ''))
    .sort((a, b) => b.key.length - a.key.length);
  const usable = entries.filter(({ credentials }) => typeof credentials === 'object');
  const known = usable.length > 0;
  const broken = entries.find(({ credentials }) => credentials === 'broken');
  if (!known && broken)
    throw new ConfigError(
      `--registry-auth-file: ${path}: "auth" of ${JSON.stringify(broken.name)} is not base64 of USER:PASSWORD. Log in again`,
    );
  const helper = hosts.map((name) => config.credHelpers?.[name]).find(Boolean) ?? config.credsStore;
  if (!known && helper) {
    throw new ConfigError(
      `--registry-auth-file: ${path} leaves the credentials for ${host} to the helper "docker-credential-${helper}", which is not run. Log in to a file without a helper, for example with podman login --authfile`,
    );
  }
  return (repository) => {
    const names = hosts.map((name) => (repository ? `${name}/${repository}` : name));
    const fits = usable.find(({ key }) => names.some((name) => name === key || name.startsWith(`${key}/`)));
    return typeof fits?.credentials === 'object' ? fits.credentials : undefined;
  };
}

function load(path: string): z.infer<typeof configFile> {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, 'utf8').replace(/^\uFEFF/, ''));
  } catch (error) {
    // The message of a JSON error quotes the text around the error, which may be a secret.
    const reason = error instanceof SyntaxError ? 'it is not JSON. Log in again' : fileProblem(error);
    throw new ConfigError(`--registry-auth-file: cannot read ${JSON.stringify(path)}: ${reason}`);
  }
  const parsed = configFile.safeParse(content);
  if (parsed.success) return parsed.data;
  throw new ConfigError(`--registry-auth-file: ${path} is not a docker config.json: ${schemaProblem(parsed.error)}`);
}

/**
 * Normalizes a key: `https://index.docker.io/v1/` → `index.docker.io`. `HOST/path` keeps its path. Host names are
 * case-insensitive.
 */
function normalize(key: string): string {
  return key
    .replace(/^https?:\/\//, '')
    .replace(/\/v[12]\/?$/, '')
    .replace(/\/+$/, '')
    .replace(/^[^/]+/, (host) => host.toLowerCase());
}

/** Returns the credentials in an entry, undefined if it has none, or `broken` if they cannot be parsed. */
function credentialsOf(entry: unknown): Credentials | 'broken' | undefined {
  if (entry === null) return undefined;
  const parsed = authSchema.safeParse(entry);
  if (!parsed.success) return 'broken';
  const { auth, username, password, identitytoken: identityToken } = parsed.data;
  const [, user, secret] = typeof auth === 'string' ? (USER_AND_PASSWORD.exec(decode(auth)) ?? []) : [];
  // Docker pads some entries with NUL bytes.
  if (user !== undefined && secret !== undefined)
    return { username: user, password: secret.replace(/\0+$/, ''), identityToken };
  if (username !== undefined && password !== undefined) return { username, password, identityToken };
  if (identityToken !== undefined) return { username: '', password: '', identityToken };
  return auth === undefined || auth === null || auth === '' ? undefined : 'broken';
}

const USER_AND_PASSWORD = /^([^:]*):([\s\S]*)$/;
const decode = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8');
