export { createArtifactWriter, createRegistry, type RegistrySettings } from './adapters.js';
export { ArtifactWriter, type BlobSource } from './artifact-writer.js';
export { Registry, type FetchedManifest } from './registry.js';
export { RegistryModule, type RegistryModuleOptions } from './registry.module.js';
