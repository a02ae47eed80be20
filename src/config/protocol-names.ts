/** The names of the built-in device protocols, in the order of the documentation. */
export const PROTOCOL_NAMES = ['native', 'arduino', 'esphome', 'swupdate', 'rauc', 'ddi', 'mender'] as const;
export type ProtocolName = (typeof PROTOCOL_NAMES)[number];
