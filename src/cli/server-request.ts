import { linked } from '../abort.js';
import { codesOf, ConfigError, reasonOf } from '../errors.js';
import { after } from '../timers.js';
import { httpRequest, type HttpAnswer } from './http-request.js';
import { StatusLine } from './progress.js';

export interface ControlledServer {
  readonly url: string;
  /** MANAGEMENT_TOKEN; undefined for a server that has none. */
  readonly token: string | undefined;
}

export const EXIT_FAILURE = 1;
export const EXIT_NOT_ASKED = 3;
const TOKEN_HINT = '. Set MANAGEMENT_TOKEN (or --management-token) to the token of the server.';
export const OTHER_SERVER = 'This is not the management port of OtaFlux. Check --url';
/** Longer than the server waits for brokers to confirm. */
const PATIENCE_MS = 15_000;
/** After this time, a person at a terminal wonders. */
const SILENCE_MS = 500;

/** Resolves to undefined, after a line on standard error, if the server cannot be asked. */
export async function ask(
  server: ControlledServer,
  method: 'GET' | 'POST',
  path: string,
  query: Readonly<Record<string, string>> = {},
): Promise<HttpAnswer | undefined> {
  const url = urlOf(server.url, path);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const line = StatusLine.on(process.stderr);
  // The server may be waiting for its registry.
  const waiting = after(SILENCE_MS, () => line?.show(`waiting for ${url.host} …`));
  try {
    const headers = server.token === undefined ? {} : { authorization: `Bearer ${server.token}` };
    return await linked([], PATIENCE_MS, (signal) => httpRequest(url, { method, signal, headers }));
  } catch (error) {
    line?.clear();
    process.stderr.write(`otaflux: cannot reach ${url.origin}: ${await whyUnreached(error, url)}\n`);
    return undefined;
  } finally {
    waiting.stop();
    line?.clear();
  }
}

function urlOf(given: string, path: string): URL {
  if (!/^https?:\/\//i.test(given) || !URL.canParse(given))
    throw new ConfigError(`--url: got ${JSON.stringify(given)}, expected a URL such as http://127.0.0.1:9090`);
  return new URL(path, `${given.replace(/\/+$/, '')}/`);
}

/** What it needs is loaded after a failure only, because a probe runs every 10 s. */
async function meetsTls(url: URL): Promise<boolean> {
  const { speaksTls } = await import('../speaks-tls.js');
  return speaksTls(url, new AbortController().signal);
}

/** Returns the reason and the advice for a request without an answer. */
async function whyUnreached(error: unknown, url: URL): Promise<string> {
  const code = codesOf(error).at(-1) ?? '';
  if (url.protocol === 'https:' && /^(?:EPROTO$|ERR_SSL_)/.test(code))
    return `the server does not speak TLS. Use http://${url.host} in --url`;
  const isClosed = code === 'ECONNRESET' || code.startsWith('HPE_');
  if (url.protocol === 'http:' && isClosed && (await meetsTls(url)))
    return `the server speaks HTTPS. Use the management port in --url, or https://${url.host} for a proxy in front of it`;
  return `${reasonOf(error)}. Check that the server runs, and --url`;
}

/** Prints why the server has refused a request. Returns the exit code. */
export function refuse({ url }: ControlledServer, { code, body }: HttpAnswer): number {
  const reason = messageIn(body);
  const isOtherPort = code === 404 && reason.startsWith('Cannot ');
  const hint = isOtherPort ? '. Use the management port in --url' : code === 401 ? TOKEN_HINT : '';
  process.stderr.write(
    reason === ''
      ? `otaflux: ${url} answered ${code}. ${OTHER_SERVER}\n`
      : `otaflux: ${url} answered ${code}: ${reason}${hint}\n`,
  );
  return code === 404 && reason !== '' && !isOtherPort ? EXIT_FAILURE : EXIT_NOT_ASKED;
}

function messageIn(body: string): string {
  try {
    const { message } = JSON.parse(body) as { message?: unknown };
    return typeof message === 'string' ? message : '';
  } catch {
    return '';
  }
}
