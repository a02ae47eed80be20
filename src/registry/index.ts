export { createArtifactWriter, createRegistry } from './adapters.js';
export { ArtifactWriter, type BlobSource } from './artifact-writer.js';
export { narrowed, recalled, recorded, type Answers } from './recorded-registry.js';
export { Registry, type FetchedManifest } from './registry.js';
export { RegistryState, type RegistryFailure, type RegistrySummary } from './registry-state.js';
export type { RegistrySettings } from './registry-settings.js';
export { RegistryModule, type RegistryModuleOptions } from './registry.module.js';
export { verified } from './verified.js';
export { WrongSize } from './wrong-size.js';
