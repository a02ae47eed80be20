import type { Variable } from '../config/index.js';
import { codeOf, type OtaError } from '../errors.js';
import type { RegistrySettings } from './registry-settings.js';

/** Codes of Node for a certificate whose issuer is not trusted. */
const UNTRUSTED_ISSUER = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);
/** Codes for an address that leads nowhere, or to another host. */
const WRONG_ADDRESS = new Set([
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'CERT_HAS_EXPIRED',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);
/** How a connection ends on which one side speaks TLS and the other does not. */
const WRONG_SCHEME = /^(?:EPROTO|ERR_SSL_|UND_ERR_SOCKET$|ECONNRESET$|HPE_)/;
const TIMEOUT = /^UND_ERR_(?:CONNECT|HEADERS|BODY)_TIMEOUT$|^ETIMEDOUT$/;

/** The options of an operator that a failure of the registry may come from, the likeliest first. */
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

/** None for a registry that answers and has trouble of its own. */
function addressOptions(error: OtaError): Variable[] {
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

/** Longer chains are no chains. */
const MAX_CAUSES = 10;

/** `error` and what caused it; an AggregateError, as of a host with several addresses, with all its errors. */
function* causesOf(error: unknown, depth = 0): Generator {
  if (error === undefined || error === null || depth > MAX_CAUSES) return;
  yield error;
  if (error instanceof AggregateError) for (const one of error.errors) yield* causesOf(one, depth + 1);
  if (error instanceof Error) yield* causesOf(error.cause, depth + 1);
}
