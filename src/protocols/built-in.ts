import type { Type } from '@nestjs/common';
import type { ProtocolName } from '../config/index.js';
import { ArduinoProtocol } from './arduino/arduino-protocol.js';
import type { DeviceProtocol } from './device-protocol.js';
import { DdiProtocol } from './ddi/ddi-protocol.js';
import { NativeProtocol } from './native/native-protocol.js';

/**
 * The built-in protocols, in the order in which they are asked: one that tells its clients by their headers comes before
 * the one that answers everybody else on the same path.
 */
export const BUILT_IN_PROTOCOLS: Readonly<Record<ProtocolName, Type<DeviceProtocol>>> = {
  // A tenant may be called `firmware`.
  ddi: DdiProtocol,
  arduino: ArduinoProtocol,
  native: NativeProtocol,
};
