export { SettingsModule } from './config.module.js';
export type { ListenAddress, RegistryLocation } from './kinds.js';
export {
  CHECKSUMS,
  flagOf,
  optionOf,
  settingOf,
  VARIABLES,
  type Checksum,
  type Option,
  type Variable,
} from './options.js';
export type { PolicyRule } from './signature-policy.js';
export { parseSettings, Settings } from './settings.js';
export { gather, type Given, type GivenValues, type Sources } from './sources.js';
