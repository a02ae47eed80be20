import { z } from 'zod';
import { OtaError, type OtaErrorCode, reasonOf } from '../../errors.js';
import { readBody } from './body.js';
import { header, type RegistryResponse } from './transport.js';

/** As much of an error's body as is worth reading. */
const MAX_ERROR_BODY_BYTES = 16 * 1024;

/** distribution-spec 1.1, "Error Codes". */
const errorBody = z.object({ errors: z.array(z.object({ code: z.string(), message: z.string().nullish() })).min(1) });

/** The errors of object storage that speaks S3 or Azure's protocol, where blobs are redirected to. */
const STORAGE_ERROR = /<Error\b[^>]*>[\s\S]*?<Code>([^<]{1,100})<\/Code>(?:[\s\S]*?<Message>([^<]{0,300}))?/;

/** What went wrong, in one line with the registry's own code and message: `404 NAME_UNKNOWN: repository name not known`. */
export async function describeFailure(response: RegistryResponse): Promise<string> {
  try {
    const text = (await readBody(response, MAX_ERROR_BODY_BYTES, () => new Error('too long'))).toString('utf8');
    const [, storageCode, storageMessage] = STORAGE_ERROR.exec(text) ?? [];
    if (storageCode !== undefined) return describe(response, storageCode, storageMessage);
    const parsed = errorBody.safeParse(JSON.parse(text));
    const first = parsed.success ? parsed.data.errors[0] : undefined;
    if (first) return describe(response, first.code, first.message);
  } catch {
    // A body that is no error of a registry has nothing to tell; the status has.
  }
  return `status ${response.status}`;
}

function describe({ status }: RegistryResponse, code: string, message: string | null | undefined): string {
  return oneLine(`${status} ${code}${message ? `: ${message}` : ''}`);
}

/** Who gave an answer: the registry, or the host that it redirected to. */
export function answererOf({ url, redirectedFrom }: RegistryResponse): string {
  return redirectedFrom === undefined ? 'registry' : `${url.host}, where ${redirectedFrom} redirects to,`;
}

/** The code of an answer that is no success. 401 and 403 are told apart by the auth layer, before they come here. */
export function codeOfStatus(status: number): OtaErrorCode {
  if (status === 404) return 'absent';
  return status === 408 || status === 429 || status >= 500 ? 'unavailable' : 'protocol';
}

/** An answer that is no success, as an error about `what`. */
export async function failureOf(response: RegistryResponse, what: string): Promise<OtaError> {
  return new OtaError(
    codeOfStatus(response.status),
    `${what}: ${answererOf(response)} answered ${await describeFailure(response)}`,
  );
}

/** Whether an answer is a web page: registries answer with JSON, or with nothing. */
export function isPage(response: RegistryResponse): boolean {
  return /^text\/html\b/i.test(header(response, 'content-type') ?? '');
}

/** An answer that no registry gives, as an error. */
export async function notRegistry(response: RegistryResponse): Promise<OtaError> {
  const { origin, pathname } = response.url;
  const text = await readBody(response, MAX_ERROR_BODY_BYTES, () => new Error('too long')).catch(() => Buffer.alloc(0));
  // What servers of Go, nginx and Apache say to those who speak plain HTTP to them.
  if (response.status === 400 && /\bHTTPS\b|speaking plain HTTP/.test(text.toString('latin1')))
    return new OtaError('protocol', `${origin} speaks HTTPS and was asked by plain HTTP`);
  const type = isPage(response) ? ' with a web page' : '';
  return new OtaError(
    'protocol',
    `${origin} is not a container registry: ${pathname} answered ${response.status}${type}`,
  );
}

/** No answer at all, as an error. */
export function unreachable(error: unknown, host: string): OtaError {
  if (error instanceof OtaError) return error;
  return new OtaError('unavailable', `cannot reach ${host}: ${oneLine(reasonOf(error))}`, { cause: error });
}

function oneLine(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 300);
}
