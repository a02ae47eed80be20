import type { ArtifactWriter } from './artifact-writer.js';
import type { OnRetry } from './on-retry.js';
import type { Registry } from './registry.js';
import type { RegistrySettings } from './registry-settings.js';

/**
 * The registry that `settings` name; rejects with ConfigError when a file that they name cannot be used. Asks nothing
 * yet. Only the adapter in use is loaded: an HTTP client is a quarter of the memory of a server that idles.
 */
export async function createRegistry(settings: RegistrySettings, onRetry?: OnRetry): Promise<Registry> {
  const location = settings.registryUrl;
  if (location.kind === 'http')
    return (await import('./distribution/index.js')).distributionRegistry(location, settings, onRetry);
  return new (await import('./layout/layout-registry.js')).LayoutRegistry(location.directory);
}

/** The write side of the same registry; a folder that is not there yet is made. */
export async function createArtifactWriter(settings: RegistrySettings, onRetry?: OnRetry): Promise<ArtifactWriter> {
  const location = settings.registryUrl;
  if (location.kind === 'http')
    return (await import('./distribution/index.js')).distributionWriter(location, settings, onRetry);
  return (await import('./layout/layout-writer.js')).LayoutWriter.open(location.directory);
}
