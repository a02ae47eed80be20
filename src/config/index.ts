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
  EVENT_SCHEMES,
  NOTIFY_SCHEMES,
  REDIS_SCHEMES,
  type Checksum,
  type Option,
  type TypedOption,
} from './option.js';
export {
  flagOf,
  optionOf,
  sectionOf,
  settingOf,
  VARIABLES,
  type OPTIONS,
  type SettingName,
  type SettingValue,
  type SettingValues,
  type Variable,
} from './options.js';
export type { PolicyRule } from './signature-policy.js';
export type { PollInterval } from './poll-interval.js';
export { parseOption, parseSettings, Settings } from './settings.js';
export { PROTOCOL_NAMES, type ProtocolName } from './protocol-names.js';
export { misspeltVariables, type Misspelt } from './misspelt.js';
export { gather, type Given, type GivenValues, type Sources } from './sources.js';
export { mostSimilar } from './similar.js';
