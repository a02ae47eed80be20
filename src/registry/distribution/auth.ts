import { OtaError } from '../../errors.js';
import { preferredChallenge, type Challenge } from './challenge.js';
import type { CredentialAdvice, CredentialSource } from './credentials.js';
import { answererOf, describeFailure } from './failure.js';
import { KnownChallenges, scopeFor } from './known-challenges.js';
import { basic, Tokens, type TokenWish } from './tokens.js';
import { discard, type RegistryRequest, type RegistryResponse, type Transport } from './transport.js';

export interface AuthOptions {
  /** The origin for which the credentials are. */
  origin: string;
  credentials: CredentialSource;
  advice: CredentialAdvice;
  /** Maximum duration of a token request, in milliseconds. */
  timeoutMs: number;
}

/**
 * Answers the challenges of the registry. It starts without credentials, then uses Basic, or Bearer with a token for
 * the challenge. Another registry, to which a redirect leads, gets an anonymous token and never the credentials.
 */
export class AuthTransport implements Transport {
  private readonly challenges = new KnownChallenges();
  private readonly tokens: Tokens;

  constructor(
    private readonly next: Transport,
    private readonly options: AuthOptions,
  ) {
    this.tokens = new Tokens(next, options);
  }

  close(): Promise<void> {
    return this.next.close();
  }

  async send(request: RegistryRequest): Promise<RegistryResponse> {
    let response =
      request.url.origin === this.options.origin ? await this.atHome(request) : await this.next.send(request);
    if (response.status === 401 && !this.isHome(response)) response = await this.abroad(request, response);
    if (response.status === 401 || response.status === 403) throw await this.refusal(request, response);
    return response;
  }

  /**
   * Sends `request` with the authorization that the registry demanded before, or is likely to demand, and otherwise
   * answers its challenge.
   */
  private async atHome(request: RegistryRequest): Promise<RegistryResponse> {
    const known = this.challenges.get(request);
    const guess = known ? undefined : this.challenges.guess(request);
    let sent = guess ? await this.tryAuthorization(request, guess) : await this.authorization(request, known);
    let response = await this.next.send(withAuthorization(request, sent));
    if (guess && sent !== undefined && this.isHome(response) && isFinalRefusal(response)) {
      // The guess may have been wrong. Without authorization, the registry states what it demands.
      discard(response);
      sent = undefined;
      response = await this.next.send(request);
    }
    if (response.status !== 401 || !this.isHome(response)) return response;
    const wanted = preferredChallenge(response.headers['www-authenticate']);
    if (!wanted) return response;
    this.challenges.learn(request, wanted);
    return this.meet(request, wanted, response, sent);
  }

  /**
   * Sends `request` with the authorization that the challenge of `response` demands. If a token was accepted before,
   * the one that was `sent` or a stored one, it may have been revoked: then tries once more with a new token.
   */
  private async meet(
    request: RegistryRequest,
    wanted: Challenge,
    response: RegistryResponse,
    sent: string | undefined,
  ): Promise<RegistryResponse> {
    const wish = wanted.scheme === 'bearer' ? this.wish(request, wanted) : undefined;
    if (wish && sent !== undefined) this.tokens.forget(wish, tokenIn(sent));
    const kept = wish && this.tokens.kept(wish);
    let authorization: string | undefined;
    try {
      authorization = await this.authorization(request, wanted);
    } catch (error) {
      discard(response);
      throw error;
    }
    if (authorization === undefined) return response;
    discard(response);
    const answer = await this.next.send(withAuthorization(request, authorization));
    const isRevoked = answer.status === 401 && sent === undefined && kept !== undefined && this.isHome(answer);
    return isRevoked ? this.meet(request, wanted, answer, authorization) : answer;
  }

  /**
   * Sends the request once more to the target of a redirect, with an anonymous token of that registry's own token
   * service.
   */
  private async abroad(request: RegistryRequest, response: RegistryResponse): Promise<RegistryResponse> {
    const { url } = response;
    const challenge = preferredChallenge(response.headers['www-authenticate']);
    if (challenge?.scheme !== 'bearer') return response;
    const there: RegistryRequest = { ...request, url };
    const wish = {
      challenge,
      scope: scopeFor(there, challenge),
      credentials: undefined,
      secure: url.protocol === 'https:',
    };
    discard(response);
    const token = await this.tokens.get(wish);
    const answer = await this.next.send(withAuthorization(there, `Bearer ${token}`));
    // A stored token may have expired. The next try gets a new one.
    if (answer.status === 401) this.tokens.forget(wish, token);
    const { redirectedFrom } = response;
    return { ...answer, ...(redirectedFrom !== undefined && { redirectedFrom }) };
  }

  private isHome(response: RegistryResponse): boolean {
    return response.url.origin === this.options.origin;
  }

  private async authorization(request: RegistryRequest, challenge: Challenge | undefined): Promise<string | undefined> {
    if (!challenge) return undefined;
    if (challenge.scheme === 'basic') {
      const credentials = this.options.credentials(request.repository);
      return credentials && basic(credentials);
    }
    try {
      return `Bearer ${await this.tokens.get(this.wish(request, challenge))}`;
    } catch (error) {
      // The token service may have moved: asks the registry for its address again. A refusal may be for this request
      // only.
      if (error instanceof OtaError && error.code === 'denied') this.challenges.forgetPlace(request);
      else this.challenges.forget(challenge);
      throw error;
    }
  }

  /** The same for a guessed challenge. If there is no token for it, that means nothing. */
  private async tryAuthorization(request: RegistryRequest, guess: Challenge): Promise<string | undefined> {
    return this.authorization(request, guess).catch((error: unknown) => {
      if (error instanceof OtaError && error.code === 'unavailable') throw error;
      return undefined;
    });
  }

  private wish(request: RegistryRequest, challenge: Challenge): TokenWish {
    return {
      challenge,
      scope: scopeFor(request, challenge),
      credentials: this.options.credentials(request.repository),
      secure: this.options.origin.startsWith('https:'),
    };
  }

  /**
   * Returns the error for a final 401 or 403. GHCR and Harbor answer alike for a repository that does not exist and one
   * that the account must not read. So the last release stays current, and the error is logged.
   */
  private async refusal(request: RegistryRequest, response: RegistryResponse): Promise<OtaError> {
    const { origin, credentials: source, advice } = this.options;
    const what = `${answererOf(response)} refuses ${request.repository ?? 'the request'}: ${await describeFailure(response)}`;
    if (!this.isHome(response)) return new OtaError('denied', `${what}; ${abroadAdvice(response.url, origin)}`);
    const credentials = source(request.repository);
    if (!credentials) return new OtaError('denied', `${what}; credentials are needed. ${advice.missing}`);
    const bearer = this.challenges.get(request)?.scheme === 'bearer';
    if (response.status !== 403 && !bearer)
      return new OtaError('denied', `${what}; the credentials are wrong. ${advice.wrong}`);
    const access = { pull: 'read it', 'pull,push': 'push to it', 'pull,delete': 'delete from it' }[
      request.action ?? 'pull'
    ];
    return new OtaError(
      'denied',
      `${what}; the repository does not exist, or these credentials may not ${access}. Check the name and --repository-prefix, and the rights of the account`,
    );
  }
}

/** Credentials are only sent to the registry, so a refusal of another host is not about them. */
function abroadAdvice({ protocol, host, hostname, origin }: URL, home: string): string {
  const registry = new URL(home);
  if (registry.hostname === hostname && protocol === 'https:' && registry.protocol === 'http:')
    return `the registry redirects to https, where credentials for http are not sent. Use ${origin} in --registry-url`;
  return `credentials for ${registry.host} are not sent to ${host}, so the cause is between the registry and its storage. Check the clock of the registry and its access to the storage`;
}

/** The server refused, and did not say what it demands instead. */
function isFinalRefusal({ status, headers }: RegistryResponse): boolean {
  return status === 403 || (status === 401 && !preferredChallenge(headers['www-authenticate']));
}

function withAuthorization(request: RegistryRequest, authorization: string | undefined): RegistryRequest {
  return authorization === undefined ? request : { ...request, headers: { ...request.headers, authorization } };
}

const tokenIn = (authorization: string): string => authorization.replace(/^Bearer /, '');
