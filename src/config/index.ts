export { givenBy, SettingsModule, type AsyncGiven, type PlainValues } from './config.module.js';
export { GraceTime } from './grace-time.js';
export { isMqttTopic, MIN_SECRET_LENGTH, type ListenAddress, type Rate, type RegistryLocation } from './kinds.js';
export {
  CHECKSUMS,
  flagOf,
  NOTIFY_SCHEMES,
  optionOf,
  settingOf,
  VARIABLES,
  type Checksum,
  type Option,
  type Variable,
} from './options.js';
export type { PolicyRule } from './signature-policy.js';
export { parseOption, parseSettings, Settings } from './settings.js';
export { misspeltVariables, type Misspelt } from './misspelt.js';
export { parseYaml } from './yaml.js';
export { gather, type Given, type GivenValues, type Sources } from './sources.js';
