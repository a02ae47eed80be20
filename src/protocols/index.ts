export type { Access } from './access.js';
export type { Ask, Identity } from './ask.js';
export { DeviceProtocol, type Match } from './device-protocol.js';
export { hasFailed, Offers, type Offer, type OfferOptions, type Withheld } from './offers.js';
export { BUILT_IN_PROTOCOLS } from './built-in.js';
