import { OtaError } from '../../errors.js';
import { readBody } from './body.js';
import type { Challenge } from './challenge.js';
import type { CredentialAdvice, Credentials } from './credentials.js';
import { codeOfStatus, describeFailure } from './failure.js';
import type { RegistryRequest, RegistryResponse, Transport } from './transport.js';

/** Distribution's token specification: without `expires_in`, a token is valid for 60 s. */
const DEFAULT_LIFETIME_S = 60;
/** A token is renewed this long before it expires, so that it does not expire on its way. */
const RENEWAL_MS = 10_000;
/** A signal that is never aborted: only the deadline ends the request. */
const NEVER = new AbortController().signal;
/** One entry for each repository and permission. The oldest is dropped first. */
const MAX_TOKENS = 2_000;
const MAX_TOKEN_BODY_BYTES = 256 * 1024;

/** A token that is needed, and where to get it. */
export interface TokenWish {
  /** A Bearer challenge. It contains the address of the token service. */
  readonly challenge: Challenge;
  readonly scope: string;
  /** Undefined for an anonymous token. */
  readonly credentials: Credentials | undefined;
  /** Whether the challenge arrived over TLS. Then nothing is sent to a token service without TLS. */
  readonly secure: boolean;
}

interface Token {
  readonly value: Promise<string>;
  /** The token after it has arrived. */
  text?: string;
  /** On the clock of `performance.now()`; infinite while the token is being fetched. */
  renewAtMs: number;
}

export interface TokenOptions {
  readonly advice: CredentialAdvice;
  /** Maximum duration of a token request, in milliseconds. */
  readonly timeoutMs: number;
}

/** Fetches tokens (Distribution's token specification) and keeps them by user, realm, service and scope. */
export class Tokens {
  private readonly tokens = new Map<string, Token>();
  private readonly refreshTokens = new Map<Credentials, string>();
  private readonly users = new Map<Credentials, number>();

  constructor(
    private readonly transport: Transport,
    private readonly options: TokenOptions,
  ) {}

  /**
   * Resolves to the token for `wish`. Concurrent callers share one request. The token is kept until shortly before it
   * expires.
   */
  get(wish: TokenWish): Promise<string> {
    const key = this.keyOf(wish);
    const known = this.tokens.get(key);
    if (known && performance.now() < known.renewAtMs) return known.value;
    const token: Token = {
      renewAtMs: Infinity,
      value: this.fetch(wish).then(({ value, lifetimeMs }) => {
        token.renewAtMs = performance.now() + Math.max(lifetimeMs - RENEWAL_MS, lifetimeMs / 2);
        return (token.text = value);
      }),
    };
    // Failures are not kept: the next request tries again.
    token.value.catch(() => {
      if (this.tokens.get(key) === token) this.tokens.delete(key);
    });
    this.tokens.delete(key);
    this.tokens.set(key, token);
    if (this.tokens.size > MAX_TOKENS) this.tokens.delete(this.tokens.keys().next().value ?? '');
    return token.value;
  }

  /** Returns the kept token for `wish`, if there is one. */
  kept(wish: TokenWish): string | undefined {
    return this.tokens.get(this.keyOf(wish))?.text;
  }

  /** Drops the token for `wish` if it is `refused`. A newer token stays. */
  forget(wish: TokenWish, refused: string): void {
    const key = this.keyOf(wish);
    if (this.tokens.get(key)?.text === refused) this.tokens.delete(key);
  }

  private keyOf({ challenge: { parameters }, scope, credentials }: TokenWish): string {
    if (credentials && !this.users.has(credentials)) this.users.set(credentials, this.users.size);
    const user = credentials ? this.users.get(credentials) : 'anonymous';
    return JSON.stringify([user, parameters.realm, parameters.service, scope]);
  }

  private async fetch(wish: TokenWish): Promise<{ value: string; lifetimeMs: number }> {
    const response = await this.transport.send(this.request(wish));
    if (response.status !== 200) throw await refusal(response, wish.credentials, this.options.advice);
    const { host } = response.url;
    const bytes = await readBody(
      response,
      MAX_TOKEN_BODY_BYTES,
      () =>
        new OtaError(
          'protocol',
          `the answer of token service ${host} is longer than ${MAX_TOKEN_BODY_BYTES} bytes. Check the token service of the registry`,
        ),
    ).catch((error: unknown) => {
      throw OtaError.from(error, 'unavailable', `the answer of token service ${host} broke off`);
    });
    const body = parseBody(bytes, host);
    const refreshToken = textOf(body.refresh_token);
    if (wish.credentials && refreshToken !== undefined) this.refreshTokens.set(wish.credentials, refreshToken);
    return { value: tokenIn(body, host), lifetimeMs: lifetimeOf(body.expires_in) * 1000 };
  }

  private request({ challenge, scope, credentials, secure }: TokenWish): RegistryRequest {
    const url = realmOf(challenge, secure);
    const { service } = challenge.parameters;
    // Has its own deadline, because the token is for all callers that wait.
    const common = {
      signal: NEVER,
      deadlineMs: performance.now() + this.options.timeoutMs,
    };
    if (credentials?.identityToken !== undefined) {
      const form = new URLSearchParams({
        grant_type: 'refresh_token',
        client_id: 'otaflux',
        refresh_token: this.refreshTokens.get(credentials) ?? credentials.identityToken,
        ...(scope && { scope }),
        ...(service && { service }),
      });
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      return { method: 'POST', url, headers, body: form.toString(), ...common };
    }
    // One parameter for each scope, as docker does.
    for (const one of scope.split(' ')) if (one) url.searchParams.append('scope', one);
    if (service) url.searchParams.append('service', service);
    return { method: 'GET', url, ...(credentials && { headers: { authorization: basic(credentials) } }), ...common };
  }
}

export function basic({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/**
 * Returns the address of the token service. If the registry is reached over TLS, the credentials must not be sent over
 * plain HTTP.
 */
function realmOf(challenge: Challenge, secure: boolean): URL {
  const realm = challenge.parameters.realm ?? '';
  const url = URL.canParse(realm) ? new URL(realm) : undefined;
  if (!url || !(url.protocol === 'https:' || (url.protocol === 'http:' && !secure)))
    throw new OtaError(
      'protocol',
      `the registry names a token service that cannot be used: ${JSON.stringify(realm.slice(0, 200))}, expected an https URL. Check the configuration of the registry`,
    );
  return url;
}

function parseBody(bytes: Buffer, host: string): Readonly<Record<string, unknown>> {
  let body: unknown;
  try {
    body = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new OtaError(
      'protocol',
      `token service ${host} gave an answer that is not JSON. Check the token service of the registry`,
      { cause: error },
    );
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new OtaError(
      'protocol',
      `token service ${host} gave an answer that is not a JSON object. Check the token service of the registry`,
    );
  return body as Record<string, unknown>;
}

/** Returns the text in a member. Null, an empty text and other types count as missing. */
function textOf(member: unknown): string | undefined {
  return typeof member === 'string' && member !== '' ? member : undefined;
}

function tokenIn(body: Readonly<Record<string, unknown>>, host: string): string {
  const value = textOf(body.token) ?? textOf(body.access_token);
  if (value === undefined) {
    const strange = (['token', 'access_token'] as const).find((name) => (body[name] ?? '') !== '');
    const what =
      strange === undefined
        ? 'answered without a token'
        : `answered with a ${JSON.stringify(strange)} that is not text`;
    throw new OtaError('protocol', `token service ${host} ${what}. Check the token service of the registry`);
  }
  if (!/^[\x21-\x7e]+$/.test(value))
    throw new OtaError(
      'protocol',
      `token service ${host} answered with a token that does not fit in a header. Check the token service of the registry`,
    );
  return value;
}

/** Returns `expires_in` in seconds. Some services send the number as a string. */
function lifetimeOf(member: unknown): number {
  const seconds = typeof member === 'string' && member.trim() !== '' ? Number(member) : member;
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds >= 0 ? seconds : DEFAULT_LIFETIME_S;
}

/** 401 means that the credentials are wrong. 403 and 404 mean that there is no token for this scope. */
async function refusal(
  response: RegistryResponse,
  credentials: Credentials | undefined,
  advice: CredentialAdvice,
): Promise<OtaError> {
  const what = `token service ${response.url.host} answered ${await describeFailure(response)}`;
  if (response.status === 401)
    return new OtaError(
      'denied',
      credentials
        ? `${what}; the credentials are wrong. ${advice.wrong}`
        : `${what}; credentials are needed. ${advice.missing}`,
    );
  if (response.status === 403 || response.status === 404)
    return new OtaError('denied', `${what}. Check the rights of the account`);
  return new OtaError(codeOfStatus(response.status), `${what}. Check the token service of the registry`);
}
