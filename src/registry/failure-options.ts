import type { Variable } from '../config/index.js';
import { codeOf, type OtaError } from '../errors.js';
import type { RegistrySettings } from './registry-settings.js';

/** Node's codes for a certificate whose issuer is not trusted. */
const UNTRUSTED_ISSUER = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);
/** Codes for an address without a server, or with another one. */
const WRONG_ADDRESS = new Set([
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'CERT_HAS_EXPIRED',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);
/** How a connection ends if only one side uses TLS. */
const WRONG_SCHEME = /^(?:EPROTO|ERR_SSL_|UND_ERR_SOCKET$|ECONNRESET$|HPE_)/;
const TIMEOUT = /^UND_ERR_(?:CONNECT|HEADERS|BODY)_TIMEOUT$|^ETIMEDOUT$/;

/** Returns the options that may have caused a failure of the registry, the likeliest first. */
export function optionsBehind(error: OtaError, settings: RegistrySettings): Variable[] {
  if (settings.registryUrl.kind === 'layout') return ['REGISTRY_URL'];
  if (error.code === 'denied') return credentialsIn(settings);
  if (error.code === 'unavailable') return addressOptions(error);
  return /\bHTTPS\b/.test(error.message) ? ['REGISTRY_URL', 'REGISTRY_INSECURE'] : ['REGISTRY_URL'];
}

function credentialsIn({ registryUsername, registryAuthFile }: RegistrySettings): Variable[] {
  if (registryUsername !== undefined) return ['REGISTRY_USERNAME', 'REGISTRY_PASSWORD'];
  return registryAuthFile === undefined ? ['REGISTRY_USERNAME', 'REGISTRY_AUTH_FILE'] : ['REGISTRY_AUTH_FILE'];
}

/** No options for a registry that answers and has a problem of its own. */
function addressOptions(error: OtaError): Variable[] {
  // The registry names the address of its token service and of its storage.
  if (/ which the registry refers to\b/.test(error.message)) return [];
  const causes = [...causesOf(error)];
  const codes = causes.map((cause) => codeOf(cause) ?? '');
  if (codes.some((code) => UNTRUSTED_ISSUER.has(code))) return ['REGISTRY_CA_CERT_PATH'];
  if (codes.some((code) => WRONG_ADDRESS.has(code))) return ['REGISTRY_URL'];
  if (codes.some((code) => WRONG_SCHEME.test(code))) return ['REGISTRY_URL', 'REGISTRY_INSECURE'];
  const isTimeout =
    codes.some((code) => TIMEOUT.test(code)) ||
    causes.some((cause) => cause instanceof DOMException && cause.name === 'TimeoutError');
  return isTimeout ? ['REGISTRY_URL', 'REGISTRY_TIMEOUT'] : [];
}

/** Limit for the length of a chain of causes. */
const MAX_CAUSES = 10;

/**
 * Returns `error` and its causes. For an AggregateError, such as that of a host with several addresses, returns all of
 * its errors.
 */
function* causesOf(error: unknown, depth = 0): Generator {
  if (error === undefined || error === null || depth > MAX_CAUSES) return;
  yield error;
  if (error instanceof AggregateError) for (const one of error.errors) yield* causesOf(one, depth + 1);
  if (error instanceof Error) yield* causesOf(error.cause, depth + 1);
}
