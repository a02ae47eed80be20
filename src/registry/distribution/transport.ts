import type { Readable } from 'node:stream';

/** What may be done with a repository: the words of the token scope (Distribution's token specification). */
export type RepositoryAction = 'pull' | 'pull,push' | 'pull,delete';

/** One request to a registry. Each layer (retry, auth, HTTP) takes it and gives it on. */
export interface RegistryRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | Readable | string;
  /** What the request is about; undefined for the registry as a whole. */
  readonly repository?: string;
  readonly action?: RepositoryAction;
  /** Ends the request, and the body of its answer, at once. */
  readonly signal: AbortSignal;
  /** When they are ended otherwise, on the clock of `performance.now()`. */
  readonly deadlineMs: number;
}

export interface RegistryResponse {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Must be read to its end or destroyed. */
  readonly body: Readable;
  /** Where the answer came from, redirects followed. */
  readonly url: URL;
  /** The host that was asked, when a redirect led to another origin. */
  readonly redirectedFrom?: string;
}

/** Sends a request and resolves to the answer, whatever its status; rejects with OtaError `unavailable` when there is none. */
export interface Transport {
  send(request: RegistryRequest): Promise<RegistryResponse>;
  /** Ends its connections. */
  close(): Promise<void>;
}

/** The first value of a header, or undefined. */
export function header(response: Pick<RegistryResponse, 'headers'>, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Ends an answer whose rest nobody wants; its connection is lost. */
export function abandon(response: RegistryResponse): void {
  response.body.on('error', () => undefined).destroy();
}

/** Throws a body away, so that its connection can be used again. */
export function discard(response: RegistryResponse): void {
  response.body.on('error', () => undefined);
  response.body.resume();
}
