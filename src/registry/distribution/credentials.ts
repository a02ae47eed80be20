import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { ConfigError, reasonOf } from '../../errors.js';

/** Who we are to a registry: a user with a password, or an identity token to trade for access tokens. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
  readonly identityToken?: string | undefined;
}

/** Finds the credentials for a repository, or undefined for anonymous access. */
export type CredentialSource = (repository: string | undefined) => Credentials | undefined;

const configFile = z.object({
  auths: z
    .record(
      z.string(),
      z.object({
        auth: z.string().optional(),
        username: z.string().optional(),
        password: z.string().optional(),
        identitytoken: z.string().optional(),
      }),
    )
    .optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
  credsStore: z.string().optional(),
});
type Auth = NonNullable<z.infer<typeof configFile>['auths']>[string];

/** The hosts that are all Docker Hub to docker's own config file. */
const DOCKER_HUB = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];

/**
 * The credentials in a docker or podman `config.json` (containers-auth.json(5)). Keys may be `host`, `host:port`,
 * `https://host/v1/` or `host/path`; the longest that fits a repository wins.
 *
 * @throws ConfigError when the file cannot be read, or leaves the credentials for `host` to a helper, which is not run.
 */
export function readAuthFile(path: string, host: string): CredentialSource {
  const config = load(path);
  const entries = Object.entries(config.auths ?? {})
    .map(([key, auth]) => ({ key: normalize(key), credentials: credentialsOf(auth, path, key) }))
    .filter(({ credentials }) => credentials !== undefined)
    .sort((a, b) => b.key.length - a.key.length);
  const hosts = DOCKER_HUB.includes(host) ? DOCKER_HUB : [host];
  const known = entries.some(({ key }) => hosts.includes(key.split('/')[0] ?? ''));
  const helper = hosts.map((name) => config.credHelpers?.[name]).find(Boolean) ?? config.credsStore;
  if (!known && helper) {
    throw new ConfigError(
      `--registry-auth-file: ${path} leaves the credentials for ${host} to the helper "docker-credential-${helper}", which is not run; log in to a file without one`,
    );
  }
  return (repository) => {
    const names = hosts.map((name) => (repository ? `${name}/${repository}` : name));
    return entries.find(({ key }) => names.some((name) => name === key || name.startsWith(`${key}/`)))?.credentials;
  };
}

function load(path: string): z.infer<typeof configFile> {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    // A JSON error quotes the text around it, which may be a secret.
    const reason = error instanceof SyntaxError ? 'it is not JSON' : reasonOf(error);
    throw new ConfigError(`--registry-auth-file: cannot read ${JSON.stringify(path)}: ${reason}`);
  }
  const parsed = configFile.safeParse(content);
  if (parsed.success) return parsed.data;
  throw new ConfigError(
    `--registry-auth-file: ${path} is no docker config.json: ${parsed.error.issues[0]?.path.join('.') ?? ''} is wrong`,
  );
}

/** `https://index.docker.io/v1/` → `index.docker.io`; `HOST/path` keeps its path. */
function normalize(key: string): string {
  return key
    .replace(/^https?:\/\//, '')
    .replace(/\/v[12]\/?$/, '')
    .replace(/\/+$/, '');
}

function credentialsOf(auth: Auth, path: string, key: string): Credentials | undefined {
  const identityToken = auth.identitytoken || undefined;
  if (auth.auth) {
    const [, username, password] = /^([^:]*):([\s\S]*)$/.exec(Buffer.from(auth.auth, 'base64').toString('utf8')) ?? [];
    if (username === undefined || password === undefined) {
      throw new ConfigError(
        `--registry-auth-file: ${path}: "auth" of ${JSON.stringify(key)} is not base64 of USER:PASSWORD`,
      );
    }
    // Docker pads some entries with NUL bytes.
    return { username, password: password.replace(/\0+$/, ''), identityToken };
  }
  if (auth.username !== undefined && auth.password !== undefined)
    return { username: auth.username, password: auth.password, identityToken };
  return identityToken === undefined ? undefined : { username: '', password: '', identityToken };
}
