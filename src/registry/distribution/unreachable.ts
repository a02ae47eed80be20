import { codesOf, OtaError, reasonOf } from '../../errors.js';
import { proxyFor, ProxyRefusal, refusalOfProxy } from '../../http-proxy.js';
import { speaksTls } from '../../speaks-tls.js';
import { isAboutCertificate, isAboutTls, isNotTls } from '../../system-errors.js';

/** How a connection ends if plain HTTP is sent to a server that expects TLS, among other causes. */
const CLOSED = ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'];

/** A server that sent no response. */
export interface Unanswered {
  readonly url: URL;
  /** The origin of REGISTRY_URL. Other hosts are named by the registry: token services and storage. */
  readonly home: string;
  /** Whether REGISTRY_CA_CERT_PATH is given. */
  readonly hasAuthority: boolean;
  readonly signal: AbortSignal;
}

/** Returns the OtaError for a missing response. It says why there is none and what to change. */
export async function unreachable(
  failure: unknown,
  { url, home, hasAuthority, signal }: Unanswered,
): Promise<OtaError> {
  if (failure instanceof OtaError) return failure;
  const error = refusalOfProxy(failure, url);
  if (error instanceof ProxyRefusal)
    return new OtaError('unavailable', `cannot reach ${url.origin}: ${error.message}`, { cause: error });
  const code = codesOf(error).at(-1) ?? '';
  const proxy = proxyFor(url);
  const isHome = url.origin === home;
  const place = isHome ? url.origin : `${url.origin}, which the registry refers to`;
  const way = proxy ? ` through the proxy ${proxy.host} of ${proxy.variable}` : '';
  const meetsTls = isPlainClose(code, url) && !proxy && (await speaksTls(url, signal));
  const reason = meetsTls ? 'the server speaks HTTPS' : oneLine(reasonOf(error));
  const advice = meetsTls ? `Use ${secureOrigin(url)} in --registry-url` : adviceFor(code, url, isHome, hasAuthority);
  const cause = meetsTls ? new MeetsTls(reason, { cause: error }) : error;
  return new OtaError('unavailable', `cannot reach ${place}${way}: ${reason}. ${advice}`, { cause });
}

/**
 * Returns whether a failure is permanent: a host name that does not exist, a certificate that is not trusted, http to a
 * port for https, a proxy that demands other credentials.
 */
export function isLasting({ cause }: OtaError): boolean {
  if (cause instanceof MeetsTls) return true;
  if (cause instanceof ProxyRefusal) return cause.status < 500;
  const code = codesOf(cause).at(-1) ?? '';
  return code === 'ENOTFOUND' || isAboutCertificate(code) || isAboutTls(code) || code.startsWith('HPE_');
}

/** The server expects TLS, but the request was plain http. */
class MeetsTls extends Error {}

function adviceFor(code: string, url: URL, isHome: boolean, hasAuthority: boolean): string {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return `Use a host name that is in the certificate${isHome ? ', in --registry-url' : ''}, or have a certificate issued for ${url.hostname}`;
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return 'Renew the certificate of the server, or correct the clock of this machine';
  if (isAboutCertificate(code) && hasAuthority)
    return 'No certificate in the file of --registry-ca-cert-path has issued it: give the one of its authority';
  if (isAboutCertificate(code))
    return 'Give the certificate of its authority, or its own when it is self-signed, as --registry-ca-cert-path';
  if (isNotTls(code))
    return isHome
      ? `Use ${plainOrigin(url)} in --registry-url, or --registry-insecure with a URL without scheme`
      : 'Correct the address in the configuration of the registry';
  if (!isHome) return 'Check the network, and the address in the configuration of the registry';
  if (code === 'ENOTFOUND') return 'Check the host name in --registry-url, and the DNS of this machine';
  if (code === 'ECONNREFUSED') return 'Check that the registry runs, and the port in --registry-url';
  if (/TIMEOUT|TIMEDOUT/.test(code) || code === '')
    return 'Check the registry, the network and --registry-url; --registry-timeout is the limit';
  return 'Check the registry, the network and --registry-url';
}

function isPlainClose(code: string, url: URL): boolean {
  return url.protocol === 'http:' && (CLOSED.includes(code) || code.startsWith('HPE_'));
}

function secureOrigin({ host }: URL): string {
  return `https://${host}`;
}

function plainOrigin({ host }: URL): string {
  return `http://${host}`;
}

function oneLine(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 300);
}
