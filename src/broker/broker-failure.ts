import { codeOf, ExplainedError, reasonOf } from '../errors.js';
import { speaksTls } from '../speaks-tls.js';
import { isAboutCertificate, isAboutTls, isNotTls, wordsFor } from '../system-errors.js';
import type { BrokerAddress } from './broker-address.js';

/** What a kind of broker, or its client library, says when it refuses. The first row that matches counts. */
export interface Refusal {
  /** Matches name, code, type and message of the error, or of one of its causes. */
  readonly says: RegExp;
  /** The problem and the next step, two sentences that follow "cannot use URL: ". */
  readonly means: (address: BrokerAddress) => string;
}

/** How a connection ends if plain text is sent to a server that expects TLS, among other causes. */
const CLOSED_CODES = ['ECONNRESET', 'ECONNABORTED', 'EPIPE', 'UND_ERR_SOCKET'];
const CLOSED = /closed (?:the )?connection|connection is closed|closed abruptly|undefined error/i;
const TIMED_OUT_CODES = ['ETIMEDOUT', 'UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT'];
const TIMED_OUT = /time(?:d ?)?out/i;
/** OpenSSL, SSL_R_WRONG_VERSION_NUMBER and SSL_R_PACKET_LENGTH_TOO_LONG, where a library keeps only the text. */
const NOT_TLS = /:0A00010B:|:0A0000C6:/i;
const MAX_QUOTE = 300;

/**
 * Returns the error for a failure of a receiver. Its message says what is wrong, where, and which option to check. The
 * error of the library is its cause.
 */
export async function brokerFailure(
  failure: unknown,
  address: BrokerAddress,
  refusals: readonly Refusal[],
  signal: AbortSignal,
): Promise<Error> {
  if (failure instanceof ExplainedError) return failure;
  const chain = chainOf(failure);
  for (const { says, means } of refusals)
    if (chain.some((error) => says.test(factsOf(error))))
      return new ExplainedError(`cannot use ${address.shown}: ${means(address)}`, { cause: failure });
  const problem = await connectionProblem(chain, address, signal);
  if (problem !== undefined) return new ExplainedError(`cannot reach ${address.shown}: ${problem}`, { cause: failure });
  return new ExplainedError(
    `cannot use ${address.shown}: the server, or its client library, reports "${quoteOf(failure)}". Check the log of the server, and ${address.options.url}`,
    { cause: failure },
  );
}

/** Returns the problem and the next step; undefined for an error that is not one of a connection. */
async function connectionProblem(
  chain: readonly Error[],
  address: BrokerAddress,
  signal: AbortSignal,
): Promise<string | undefined> {
  const codes = chain.map((error) => codeOf(error) ?? '').filter((code) => wordsFor(code) !== undefined);
  const code = codes.at(-1) ?? '';
  const texts = chain.map(({ name, message }) => `${name} ${message}`);
  if (isNotTls(code) || texts.some((text) => NOT_TLS.test(text)))
    return `the server does not speak TLS. Use ${address.schemes.plain} in ${address.options.url}, or the port for TLS`;
  if (isAboutCertificate(code)) return `${wordsFor(code)}. ${certificateAdvice(code, address)}`;
  const isClosed = CLOSED_CODES.includes(code) || texts.some((text) => CLOSED.test(text));
  const isTimedOut = TIMED_OUT_CODES.includes(code) || texts.some((text) => TIMED_OUT.test(text));
  if ((isClosed || isTimedOut || code.startsWith('HPE_')) && !address.usesTls && (await speaksTls(address, signal)))
    return `the server expects TLS. Use ${address.schemes.tls} in ${address.options.url}`;
  if (isClosed) return `the server closed the connection. ${closedAdvice(address)}`;
  if (isTimedOut) return `no answer within the time limit. ${timeoutAdvice(address)}`;
  if (code === '') return undefined;
  return `${wordsFor(code)}. ${adviceFor(code, address)}`;
}

function certificateAdvice(code: string, { hostname, options }: BrokerAddress): string {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `Use a host name that is in the certificate in ${options.url}, or have a certificate issued for ${hostname}`;
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return 'Renew the certificate of the server, or correct the clock of this machine';
  return `Give the certificate of its authority, or its own if it is self-signed, in ${options.ca}`;
}

function adviceFor(code: string, { options }: BrokerAddress): string {
  if (code === 'ENOTFOUND') return `Check the host name in ${options.url}, and the DNS of this machine`;
  if (code === 'ECONNREFUSED') return `Check that the server runs, and the host and port in ${options.url}`;
  if (code.includes('CERTIFICATE_REQUIRED')) return `Set ${options.certificate}`;
  if (code.startsWith('HPE_')) return `Check the host and port in ${options.url}`;
  if (isAboutTls(code)) return `Check the TLS settings of the server, and ${options.ca}, ${options.certificate}`;
  return `Check the network, and the host and port in ${options.url}`;
}

function closedAdvice({ usesTls, schemes, options }: BrokerAddress): string {
  return usesTls
    ? `Check its log. If the port does not speak TLS, use ${schemes.plain} in ${options.url}; if the server demands a client certificate, set ${options.certificate}`
    : `Check its log, the host and port in ${options.url}, and ${options.login}`;
}

function timeoutAdvice({ usesTls, schemes, options }: BrokerAddress): string {
  const scheme = usesTls ? `. If the port does not speak TLS, use ${schemes.plain}` : '';
  return `Check the host and port in ${options.url}, the kind of server there, and the firewall${scheme}`;
}

/** The error, those that it collects, and its causes: outermost first. */
function chainOf(error: unknown): Error[] {
  if (!isError(error)) return [];
  const { errors } = error as { errors?: unknown };
  const collected = Array.isArray(errors) ? errors.flatMap(chainOf) : [];
  return [error, ...collected, ...chainOf(error.cause)];
}

function isError(error: unknown): error is Error {
  return typeof error === 'object' && error !== null && 'message' in error;
}

function factsOf(error: Error): string {
  const { code, type } = error as { code?: string | number; type?: string };
  return `${error.name} ${code ?? '-'} ${type ?? '-'} ${error.message}`;
}

function quoteOf(failure: unknown): string {
  return reasonOf(failure)
    .replaceAll(/[^\x20-\x7e]+/g, ' ')
    .replaceAll('"', "'")
    .slice(0, MAX_QUOTE);
}
