import { z } from 'zod';
import { OtaError, type OtaErrorCode } from '../../errors.js';
import { readBody } from './body.js';
import { header, type RegistryResponse } from './transport.js';

/** Maximum size of an error's body that is read. */
const MAX_ERROR_BODY_BYTES = 16 * 1024;

/** distribution-spec 1.1, "Error Codes". */
const errorBody = z.object({ errors: z.array(z.object({ code: z.string(), message: z.string().nullish() })).min(1) });

/** What registries answer for a repository that does not exist. Harbor has a code of its own. */
const UNKNOWN_REPOSITORY = /^(?:404 (?:NAME_UNKNOWN|NOT_FOUND)\b|status 404$)/;

/** The errors of object storage with the protocol of S3 or Azure, to which blobs are redirected. */
const STORAGE_ERROR = /<Error\b[^>]*>[\s\S]*?<Code>([^<]{1,100})<\/Code>(?:[\s\S]*?<Message>([^<]{0,300}))?/;

/** The responses of Go, nginx and Apache to plain HTTP on a port for HTTPS. */
const WANTS_HTTPS =
  /HTTP request to an HTTPS server|plain HTTP request was sent to HTTPS port|speaking plain HTTP to an SSL/i;

/**
 * Returns the error in one line, with the code and message of the registry: `404 NAME_UNKNOWN: repository name not
 * known`.
 */
export async function describeFailure(response: RegistryResponse): Promise<string> {
  const { status } = response;
  const text = await textOf(response);
  const [, storageCode, storageMessage] = STORAGE_ERROR.exec(text) ?? [];
  if (storageCode !== undefined) return describe(status, storageCode, storageMessage);
  const known = errorIn(text);
  if (known) return describe(status, known.code, known.message);
  if (status === 400 && WANTS_HTTPS.test(text)) return `400: it ${speaksHttps(response)}`;
  const target = header(response, 'location');
  if (status >= 300 && status < 400 && target !== undefined)
    return oneLine(`${status}, a redirect to ${target}. Use that address in --registry-url`);
  return `status ${status}`;
}

function speaksHttps({ url }: RegistryResponse): string {
  return `speaks HTTPS. Use https://${url.host} in --registry-url`;
}

async function textOf(response: RegistryResponse): Promise<string> {
  try {
    return (await readBody(response, MAX_ERROR_BODY_BYTES, () => new Error('too long'))).toString('utf8');
  } catch {
    // The status is enough.
    return '';
  }
}

function errorIn(text: string): z.infer<typeof errorBody>['errors'][number] | undefined {
  try {
    return errorBody.safeParse(JSON.parse(text)).data?.errors[0];
  } catch {
    return undefined;
  }
}

function describe(status: number, code: string, message: string | null | undefined): string {
  return oneLine(`${status} ${code}${message ? `: ${message}` : ''}`);
}

/** Returns the sender of a response: the registry, or the host to which it redirected. */
export function answererOf({ url, redirectedFrom }: RegistryResponse): string {
  return redirectedFrom === undefined ? 'registry' : `${url.host}, where ${redirectedFrom} redirects to,`;
}

/** Returns the error code for an unsuccessful response. The auth layer handles 401 and 403 before. */
export function codeOfStatus(status: number): OtaErrorCode {
  if (status === 404) return 'absent';
  return status === 408 || status === 429 || status >= 500 ? 'unavailable' : 'protocol';
}

/**
 * Returns an unsuccessful response as an error about `what`.
 *
 * @param unknown advice for a repository that the registry does not have
 */
export async function failureOf(response: RegistryResponse, what: string, unknown = ''): Promise<OtaError> {
  const description = await describeFailure(response);
  const answer = `${what}: ${answererOf(response)} answered ${description}`;
  const advice = isFromNoRegistry(response, description)
    ? ` without an error code. ${response.url.origin} may not be a container registry: check --registry-url`
    : UNKNOWN_REPOSITORY.test(description)
      ? unknown
      : adviceFor(response.status);
  return new OtaError(codeOfStatus(response.status), answer + advice);
}

function adviceFor(status: number): string {
  if (status === 429) return '. Raise --refresh-interval, or the rate limit of the registry';
  return status >= 500 ? '. Check the log of the registry' : '';
}

/** Returns whether a response is a web page. Registries send JSON or nothing. */
export function isPage(response: RegistryResponse): boolean {
  return /^text\/html\b/i.test(header(response, 'content-type') ?? '');
}

/** Returns the error for a response that no registry sends. */
export async function notRegistry(response: RegistryResponse): Promise<OtaError> {
  const { origin, pathname } = response.url;
  const text = await textOf(response);
  if (response.status === 400 && WANTS_HTTPS.test(text))
    return new OtaError('protocol', `${origin} ${speaksHttps(response)}`);
  const type = isPage(response) ? ' with a web page' : '';
  return new OtaError(
    'protocol',
    `${origin} is not a container registry: ${pathname} answered ${response.status}${type}. Check --registry-url`,
  );
}

/**
 * Returns whether a 404 does not come from a registry: it has no error in JSON, and lacks the header that nearly all
 * registries set on every response.
 */
function isFromNoRegistry(response: RegistryResponse, description: string): boolean {
  return (
    description === 'status 404' &&
    response.redirectedFrom === undefined &&
    header(response, 'docker-distribution-api-version') === undefined
  );
}

function oneLine(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 300);
}
