import { z } from 'zod';
import { OtaError } from '../../errors.js';
import { preferredChallenge, type Challenge } from './challenge.js';
import type { Credentials, CredentialSource } from './credentials.js';
import { codeOfStatus, describeFailure } from './failure.js';
import { discard, readBody, type RegistryRequest, type RegistryResponse, type Transport } from './transport.js';

/** Distribution's token specification: without `expires_in` a token is good for 60 s. */
const DEFAULT_LIFETIME_S = 60;
/** A token is fetched again this long before its end, so that it does not expire on its way. */
const RENEWAL_MS = 10_000;
/** One per repository and action; the oldest is forgotten first. */
const MAX_TOKENS = 2_000;
const MAX_TOKEN_BODY_BYTES = 256 * 1024;
/** Ends nothing before its deadline. */
const NEVER = new AbortController().signal;

const tokenBody = z.object({
  token: z.string().optional(),
  access_token: z.string().optional(),
  refresh_token: z.string().optional(),
  expires_in: z.number().optional(),
});

interface Token {
  readonly value: Promise<string>;
  /** On the clock of `performance.now()`; far away while it is being fetched. */
  renewAtMs: number;
}

export interface AuthOptions {
  /** The origin whose challenges are met; another's, behind a redirect, are not. */
  origin: string;
  credentials: CredentialSource;
  /** How long a token request may take, in milliseconds. */
  timeoutMs: number;
}

/** Meets the registry's challenges: starts without credentials, then Bearer with a cached token, or Basic. */
export class AuthTransport implements Transport {
  private challenge: Challenge | undefined;
  private readonly tokens = new Map<string, Token>();
  private readonly refreshTokens = new Map<Credentials, string>();

  constructor(
    private readonly next: Transport,
    private readonly options: AuthOptions,
  ) {}

  close(): Promise<void> {
    return this.next.close();
  }

  async send(request: RegistryRequest): Promise<RegistryResponse> {
    let response = await this.next.send(await this.authorize(request));
    if (response.status === 401 && this.learn(response)) {
      discard(response);
      // A token that was good may have been revoked: once more with a new one.
      this.tokens.delete(scopeOf(request, this.challenge));
      response = await this.next.send(await this.authorize(request));
    }
    if (response.status === 401 || response.status === 403) throw await this.refusal(request, response);
    return response;
  }

  /** Takes up the challenge of a 401; false when there is none that we can meet. */
  private learn(response: RegistryResponse): boolean {
    if (response.url.origin !== this.options.origin) return false;
    const challenge = preferredChallenge(response.headers['www-authenticate']);
    if (challenge) this.challenge = challenge;
    return challenge !== undefined;
  }

  private async authorize(request: RegistryRequest): Promise<RegistryRequest> {
    const authorization = await this.authorization(request);
    return authorization ? { ...request, headers: { ...request.headers, authorization } } : request;
  }

  private async authorization(request: RegistryRequest): Promise<string | undefined> {
    if (!this.challenge || request.url.origin !== this.options.origin) return undefined;
    const credentials = this.options.credentials(request.repository);
    if (this.challenge.scheme === 'basic') return credentials && basic(credentials);
    return `Bearer ${await this.token(scopeOf(request, this.challenge), this.challenge, credentials)}`;
  }

  /** The token for `scope`: one fetch for many waiters, kept until shortly before its end. */
  private token(scope: string, challenge: Challenge, credentials: Credentials | undefined): Promise<string> {
    const known = this.tokens.get(scope);
    if (known && performance.now() < known.renewAtMs) return known.value;
    const token: Token = {
      renewAtMs: Infinity,
      value: this.fetchToken(scope, challenge, credentials).then(({ value, lifetimeMs }) => {
        token.renewAtMs = performance.now() + Math.max(lifetimeMs - RENEWAL_MS, lifetimeMs / 2);
        return value;
      }),
    };
    // A failure is not remembered: the next request asks again.
    token.value.catch(() => {
      if (this.tokens.get(scope) === token) this.tokens.delete(scope);
    });
    this.tokens.delete(scope);
    this.tokens.set(scope, token);
    if (this.tokens.size > MAX_TOKENS) this.tokens.delete(this.tokens.keys().next().value ?? '');
    return token.value;
  }

  private async fetchToken(
    scope: string,
    challenge: Challenge,
    credentials: Credentials | undefined,
  ): Promise<{ value: string; lifetimeMs: number }> {
    const response = await this.next.send(this.tokenRequest(scope, challenge, credentials));
    if (response.status !== 200) throw await tokenRefusal(response, credentials);
    const bytes = await readBody(response, MAX_TOKEN_BODY_BYTES, () => new OtaError('protocol', 'token is too long'));
    const body = tokenBody.safeParse(parseJson(bytes));
    const value = body.success ? (body.data.token ?? body.data.access_token) : undefined;
    if (!body.success || !value)
      throw new OtaError('protocol', `token service ${response.url.host} answered without a token`);
    if (credentials && body.data.refresh_token) this.refreshTokens.set(credentials, body.data.refresh_token);
    return { value, lifetimeMs: (body.data.expires_in ?? DEFAULT_LIFETIME_S) * 1000 };
  }

  private tokenRequest(scope: string, challenge: Challenge, credentials: Credentials | undefined): RegistryRequest {
    const url = this.realm(challenge);
    const parameters = new URLSearchParams(scope ? { scope } : {});
    if (challenge.parameters.service) parameters.set('service', challenge.parameters.service);
    // Its own deadline: the token is for all who wait, not for the one who asked first.
    const common = {
      signal: NEVER,
      deadlineMs: performance.now() + this.options.timeoutMs,
    };
    if (credentials?.identityToken !== undefined) {
      parameters.set('grant_type', 'refresh_token');
      parameters.set('client_id', 'otaflux');
      parameters.set('refresh_token', this.refreshTokens.get(credentials) ?? credentials.identityToken);
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      return { method: 'POST', url, headers, body: parameters.toString(), ...common };
    }
    for (const [name, value] of parameters) url.searchParams.append(name, value);
    return { method: 'GET', url, ...(credentials && { headers: { authorization: basic(credentials) } }), ...common };
  }

  /** Where tokens are to be had. A registry reached over TLS may not send our credentials over plain HTTP. */
  private realm(challenge: Challenge): URL {
    const realm = challenge.parameters.realm ?? '';
    const url = URL.canParse(realm) ? new URL(realm) : undefined;
    const secure = url?.protocol === 'https:' || (url?.protocol === 'http:' && this.options.origin.startsWith('http:'));
    if (!url || !secure)
      throw new OtaError(
        'protocol',
        `registry names a token service that cannot be used: ${JSON.stringify(realm.slice(0, 200))}`,
      );
    return url;
  }

  /**
   * What a last 401 or 403 means. GHCR and Harbor refuse what is not there just as what is not ours, so nobody can tell
   * which it is: what was known before stays known, and the operator is told.
   */
  private async refusal(request: RegistryRequest, response: RegistryResponse): Promise<OtaError> {
    const credentials = this.options.credentials(request.repository);
    const proven = credentials !== undefined && (response.status === 403 || this.challenge?.scheme === 'bearer');
    const what = `registry refuses ${request.repository ?? 'us'}: ${await describeFailure(response)}`;
    const hint = proven
      ? 'it is not there, or these credentials may not read it'
      : credentials
        ? 'the credentials are wrong'
        : 'credentials are needed';
    return new OtaError('denied', `${what}; ${hint}`);
  }
}

/** The token scope of a request (Distribution's token specification); the registry names the one for its catalog. */
function scopeOf({ repository, action }: RegistryRequest, challenge: Challenge | undefined): string {
  if (repository === undefined) return challenge?.parameters.scope ?? '';
  return `repository:${repository}:${action ?? 'pull'}`;
}

function basic({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** 401 means that the credentials are bad; 403 and 404 that there is no token for this scope. */
async function tokenRefusal(response: RegistryResponse, credentials: Credentials | undefined): Promise<OtaError> {
  const what = `token service ${response.url.host} answered ${await describeFailure(response)}`;
  if (response.status === 403 || response.status === 404) return new OtaError('denied', what);
  if (response.status === 401)
    return new OtaError('denied', `${what}; ${credentials ? 'the credentials are wrong' : 'credentials are needed'}`);
  return new OtaError(codeOfStatus(response.status), what);
}
