export {
  isMqttTopic,
  MIN_SECRET_LENGTH,
  type Kind,
  type ListenAddress,
  type Rate,
  type RegistryLocation,
} from './kinds.js';
export type { JsonSchema } from './json-schema.js';
export { isLoopback } from './loopback.js';
export {
  CHECKSUMS,
  flagOf,
  NOTIFY_SCHEMES,
  optionOf,
  sectionOf,
  settingOf,
  VARIABLES,
  type Checksum,
  type Option,
  type OPTIONS,
  type SettingName,
  type SettingValue,
  type SettingValues,
  type TypedOption,
  type Variable,
} from './options.js';
export type { PolicyRule } from './signature-policy.js';
export { parseOption, parseSettings, Settings } from './settings.js';
export { misspeltVariables, type Misspelt } from './misspelt.js';
export { gather, type Given, type GivenValues, type Sources } from './sources.js';
