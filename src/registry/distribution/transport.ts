import type { Readable } from 'node:stream';

/** Permissions for a repository, with the names of the token scope (Distribution's token specification). */
export type RepositoryAction = 'pull' | 'pull,push' | 'pull,delete';

/** One request to a registry. Each layer (retry, auth, HTTP) passes it on. */
export interface RegistryRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | Readable | string;
  /** The repository of the request; undefined for the registry as a whole. */
  readonly repository?: string;
  readonly action?: RepositoryAction;
  /** Aborts the request, and the body of its response. */
  readonly signal: AbortSignal;
  /** Time at which they are aborted otherwise, on the clock of `performance.now()`. */
  readonly deadlineMs: number;
}

export interface RegistryResponse {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Must be read to its end or destroyed. */
  readonly body: Readable;
  /** The URL of the response, after redirects. */
  readonly url: URL;
  /** The host that was asked first, if a redirect led to another origin. */
  readonly redirectedFrom?: string;
}

/**
 * Sends a request and resolves to the response, with any status. Rejects with OtaError `unavailable` if there is no
 * response.
 */
export interface Transport {
  send(request: RegistryRequest): Promise<RegistryResponse>;
  /** Closes its connections. */
  close(): Promise<void>;
}

/** Returns the first value of a header, or undefined. */
export function header(response: Pick<RegistryResponse, 'headers'>, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Aborts a response that is not needed any more. Its connection is lost. */
export function abandon(response: RegistryResponse): void {
  response.body.on('error', () => undefined).destroy();
}

/** Discards a body, so that its connection can be used again. */
export function discard(response: RegistryResponse): void {
  response.body.on('error', () => undefined);
  response.body.resume();
}
