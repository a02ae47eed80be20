export type { Ask, Identity } from './ask.js';
export { DeviceProtocol, type Match } from './device-protocol.js';
export { NativeProtocol } from './native/native-protocol.js';
