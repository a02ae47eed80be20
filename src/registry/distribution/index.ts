import type { RegistryLocation } from '../../config/index.js';
import type { ArtifactWriter } from '../artifact-writer.js';
import type { OnRetry } from '../on-retry.js';
import type { Registry } from '../registry.js';
import type { RegistrySettings } from '../registry-settings.js';
import { AuthTransport } from './auth.js';
import { readAuthFile, type CredentialAdvice, type CredentialSource } from './credentials.js';
import { DistributionRegistry } from './distribution-registry.js';
import { DistributionWriter } from './distribution-writer.js';
import { Endpoint } from './endpoint.js';
import { HttpTransport } from './http-transport.js';
import { RetryTransport } from './retry.js';
import type { Transport } from './transport.js';

type HttpLocation = RegistryLocation & { kind: 'http' };

/** Returns the read side of a registry over HTTP. Throws ConfigError if a file in `settings` cannot be used. */
export function distributionRegistry(location: HttpLocation, settings: RegistrySettings, onRetry?: OnRetry): Registry {
  const endpoint = endpointOf(location, settings);
  return new DistributionRegistry(createTransport(endpoint, settings, onRetry), {
    endpoint,
    timeoutMs: settings.registryTimeout,
  });
}

/** Returns the write side of the same registry. */
export function distributionWriter(
  location: HttpLocation,
  settings: RegistrySettings,
  onRetry?: OnRetry,
): ArtifactWriter {
  const endpoint = endpointOf(location, settings);
  return new DistributionWriter(createTransport(endpoint, settings, onRetry), endpoint);
}

function endpointOf(location: HttpLocation, settings: RegistrySettings): Endpoint {
  return new Endpoint(
    location.origin ?? `${settings.registryInsecure ? 'http' : 'https'}://${location.host}`,
    location.path,
  );
}

/** Retry over auth over HTTP, so that requests to a token service are retried like requests to the registry. */
function createTransport(endpoint: Endpoint, settings: RegistrySettings, onRetry?: OnRetry): Transport {
  const timeoutMs = settings.registryTimeout;
  const http = new HttpTransport({ origin: endpoint.origin, timeoutMs, caCertPath: settings.registryCaCertPath });
  const auth = new AuthTransport(http, {
    origin: endpoint.origin,
    credentials: credentialsFor(endpoint, settings),
    advice: adviceFor(endpoint, settings),
    timeoutMs,
  });
  return new RetryTransport(auth, onRetry);
}

function credentialsFor(endpoint: Endpoint, settings: RegistrySettings): CredentialSource {
  const { registryUsername: username, registryPassword: password = '', registryAuthFile } = settings;
  if (username !== undefined) {
    const credentials = { username, password };
    return () => credentials;
  }
  return registryAuthFile === undefined ? () => undefined : readAuthFile(registryAuthFile, endpoint.host);
}

/** Names the options to check if the registry demands credentials, or does not accept them. */
function adviceFor(endpoint: Endpoint, settings: RegistrySettings): CredentialAdvice {
  const { registryUsername, registryPassword, registryAuthFile } = settings;
  if (registryUsername === undefined && registryAuthFile !== undefined)
    return {
      missing: `The file of --registry-auth-file has none for ${endpoint.host}: log in to it`,
      wrong: 'Log in again, so that the file of --registry-auth-file is current',
    };
  return {
    missing: 'Set --registry-username and --registry-password, or --registry-auth-file',
    wrong:
      registryUsername !== undefined && registryPassword === undefined
        ? 'The password is missing: set --registry-password or --registry-password-file'
        : 'Check --registry-username and --registry-password',
  };
}
