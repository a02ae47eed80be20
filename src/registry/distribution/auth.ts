import { OtaError } from '../../errors.js';
import { preferredChallenge, type Challenge } from './challenge.js';
import type { CredentialAdvice, CredentialSource } from './credentials.js';
import { answererOf, describeFailure } from './failure.js';
import { KnownChallenges, scopeFor } from './known-challenges.js';
import { basic, Tokens, type TokenWish } from './tokens.js';
import { discard, type RegistryRequest, type RegistryResponse, type Transport } from './transport.js';

export interface AuthOptions {
  /** The origin that our credentials are for. */
  origin: string;
  credentials: CredentialSource;
  advice: CredentialAdvice;
  /** How long a token request may take, in milliseconds. */
  timeoutMs: number;
}

/**
 * Meets the challenges of the registry: starts without credentials, then Basic, or Bearer with the token that the
 * challenge asks for. A registry that a redirect leads to gets an anonymous token; our credentials stay at home.
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

  /** The answer to `request` with what the registry is known, or guessed, to want of us, else with what it says it wants. */
  private async atHome(request: RegistryRequest): Promise<RegistryResponse> {
    const known = this.challenges.get(request);
    const guess = known ? undefined : this.challenges.guess(request);
    let sent = guess ? await this.tryAuthorization(request, guess) : await this.authorization(request, known);
    let response = await this.next.send(withAuthorization(request, sent));
    if (guess && sent !== undefined && this.isHome(response) && isFinalRefusal(response)) {
      // The guess may have been wrong: asked without, the registry says what it wants.
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
   * The answer to `request` with what the challenge of `response` asks for. A token that was good before may have been
   * revoked since, be it the one that was `sent` or one that was kept: then once more with a new one.
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

  /** Once more where a redirect led to, with an anonymous token of that registry's own token service. */
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
    // One that was kept may have ended; the next try gets a new one.
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
      // The service may have moved: the registry is asked anew where it is. One that refuses may do so for this only.
      if (error instanceof OtaError && error.code === 'denied') this.challenges.forgetPlace(request);
      else this.challenges.forget(challenge);
      throw error;
    }
  }

  /** The same for what was only guessed: that there is no token for it says nothing. */
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
   * What a last 401 or 403 means. GHCR and Harbor refuse what is not there just as what is not ours, so nobody can tell
   * which it is: what was known before stays known, and the operator is told.
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

/** Credentials stay with the registry, so what another host refuses is not about them. */
function abroadAdvice({ protocol, host, hostname, origin }: URL, home: string): string {
  const registry = new URL(home);
  if (registry.hostname === hostname && protocol === 'https:' && registry.protocol === 'http:')
    return `the registry redirects to https, where credentials for http are not sent. Use ${origin} in --registry-url`;
  return `credentials for ${registry.host} are not sent to ${host}, so the cause is between the registry and its storage. Check the clock of the registry and its access to the storage`;
}

/** Refused, without a word about what is wanted instead. */
function isFinalRefusal({ status, headers }: RegistryResponse): boolean {
  return status === 403 || (status === 401 && !preferredChallenge(headers['www-authenticate']));
}

function withAuthorization(request: RegistryRequest, authorization: string | undefined): RegistryRequest {
  return authorization === undefined ? request : { ...request, headers: { ...request.headers, authorization } };
}

const tokenIn = (authorization: string): string => authorization.replace(/^Bearer /, '');
