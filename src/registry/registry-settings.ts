import type { Settings } from '../config/index.js';

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
