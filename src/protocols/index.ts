export type { Access } from './access.js';
export type { Ask, Identity } from './ask.js';
export { DeviceProtocol, type Match } from './device-protocol.js';
export { hasFailed, Offers, type GuardOptions, type Offer, type OfferOptions, type Withheld } from './offers.js';
export type { Guarded } from './guards.js';
export { BUILT_IN_PROTOCOLS, PROTOCOL_PARTS } from './built-in.js';
export { reportIn } from './native/report.js';
