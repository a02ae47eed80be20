import type { Type } from '@nestjs/common';
import type { ProtocolName } from '../config/index.js';
import { ArduinoProtocol } from './arduino/arduino-protocol.js';
import type { DeviceProtocol } from './device-protocol.js';
import { DdiProtocol } from './ddi/ddi-protocol.js';
import { EsphomeProtocol } from './esphome/esphome-protocol.js';
import { Artifacts } from './mender/artifacts.js';
import { Deployments } from './mender/deployments.js';
import { MenderProtocol } from './mender/mender-protocol.js';
import { NativeProtocol } from './native/native-protocol.js';
import { RaucProtocol } from './rauc/rauc-protocol.js';
import { SwupdateProtocol } from './swupdate/swupdate-protocol.js';

/**
 * The built-in protocols, in the order in which they are asked: one that tells its clients by their headers comes before
 * the one that answers everybody else on the same path.
 */
export const BUILT_IN_PROTOCOLS: Readonly<Record<ProtocolName, Type<DeviceProtocol>>> = {
  // A tenant may be called `firmware`.
  ddi: DdiProtocol,
  arduino: ArduinoProtocol,
  esphome: EsphomeProtocol,
  mender: MenderProtocol,
  native: NativeProtocol,
  rauc: RaucProtocol,
  swupdate: SwupdateProtocol,
};

/** Further providers that the built-in protocols need. */
export const PROTOCOL_PARTS: readonly Type[] = [Artifacts, Deployments];
