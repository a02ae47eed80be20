export type { Ask, Identity } from './ask.js';
export { DeviceProtocol, type Match } from './device-protocol.js';
export { BUILT_IN_PROTOCOLS } from './built-in.js';
