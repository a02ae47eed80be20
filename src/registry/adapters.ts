import type { ArtifactWriter } from './artifact-writer.js';
import type { OnRetry } from './on-retry.js';
import type { Registry } from './registry.js';
import type { RegistrySettings } from './registry-settings.js';

/**
 * Returns the registry that `settings` select. Rejects with ConfigError if a file in the settings cannot be used. Sends
 * no request yet. Only the adapter in use is loaded: the HTTP client takes a quarter of the memory of an idle server.
 */
export async function createRegistry(settings: RegistrySettings, onRetry?: OnRetry): Promise<Registry> {
  const location = settings.registryUrl;
  if (location.kind === 'http')
    return (await import('./distribution/index.js')).distributionRegistry(location, settings, onRetry);
  return new (await import('./layout/layout-registry.js')).LayoutRegistry(location.directory);
}

/** Returns the write side of the same registry. Creates the folder if it does not exist. */
export async function createArtifactWriter(settings: RegistrySettings, onRetry?: OnRetry): Promise<ArtifactWriter> {
  const location = settings.registryUrl;
  if (location.kind === 'http')
    return (await import('./distribution/index.js')).distributionWriter(location, settings, onRetry);
  return (await import('./layout/layout-writer.js')).LayoutWriter.open(location.directory);
}
