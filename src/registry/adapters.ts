import type { RegistryLocation, Settings } from '../config/index.js';
import type { ArtifactWriter } from './artifact-writer.js';
import { AuthTransport } from './distribution/auth.js';
import { readAuthFile, type CredentialSource } from './distribution/credentials.js';
import { DistributionRegistry } from './distribution/distribution-registry.js';
import { DistributionWriter } from './distribution/distribution-writer.js';
import { Endpoint } from './distribution/endpoint.js';
import { HttpTransport } from './distribution/http-transport.js';
import { RetryTransport } from './distribution/retry.js';
import type { Transport } from './distribution/transport.js';
import { LayoutRegistry } from './layout/layout-registry.js';
import { LayoutWriter } from './layout/layout-writer.js';
import type { Registry } from './registry.js';

/** What the adapters are made from. */
export type RegistrySettings = Pick<
  Settings,
  | 'registryUrl'
  | 'registryUsername'
  | 'registryPassword'
  | 'registryAuthFile'
  | 'registryInsecure'
  | 'registryCaCertPath'
  | 'registryTimeout'
>;

/** The registry that `settings` name; throws ConfigError when a file that they name cannot be used. Asks nothing yet. */
export function createRegistry(settings: RegistrySettings): Registry {
  const location = settings.registryUrl;
  if (location.kind === 'layout') return new LayoutRegistry(location.directory);
  const endpoint = endpointOf(location, settings);
  return new DistributionRegistry(createTransport(endpoint, settings), {
    endpoint,
    timeoutMs: settings.registryTimeout,
  });
}

/** The write side of the same registry. */
export function createArtifactWriter(settings: RegistrySettings): ArtifactWriter {
  const location = settings.registryUrl;
  if (location.kind === 'layout') return new LayoutWriter(location.directory);
  const endpoint = endpointOf(location, settings);
  return new DistributionWriter(createTransport(endpoint, settings), endpoint);
}

function endpointOf(location: RegistryLocation & { kind: 'http' }, settings: RegistrySettings): Endpoint {
  return new Endpoint(
    location.origin ?? `${settings.registryInsecure ? 'http' : 'https'}://${location.host}`,
    location.path,
  );
}

/** Retry over auth over HTTP: a token service that is down is tried again like the registry itself. */
function createTransport(endpoint: Endpoint, settings: RegistrySettings): Transport {
  const timeoutMs = settings.registryTimeout;
  const http = new HttpTransport({ timeoutMs, caCertPath: settings.registryCaCertPath });
  const auth = new AuthTransport(http, {
    origin: endpoint.origin,
    credentials: credentialsFor(endpoint, settings),
    timeoutMs,
  });
  return new RetryTransport(auth);
}

function credentialsFor(endpoint: Endpoint, settings: RegistrySettings): CredentialSource {
  const { registryUsername: username, registryPassword: password = '', registryAuthFile } = settings;
  if (username !== undefined) {
    const credentials = { username, password };
    return () => credentials;
  }
  return registryAuthFile === undefined ? () => undefined : readAuthFile(registryAuthFile, endpoint.host);
}
