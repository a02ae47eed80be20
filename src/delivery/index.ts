export {
  answerRefusal,
  badBody,
  DeviceRefusal,
  forbidden,
  invalidDevice,
  invalidUnit,
  methodNotAllowed,
  missingUnit,
  noFirmware,
  notByProxy,
  tooManyRequests,
  unauthorized,
} from './answers.js';
export { ClientAddress, networkOf } from './client-address.js';
export { containsEveryone } from './everyone.js';
export { Delivery, type Delivered } from './delivery.js';
export { isDownload } from './download.js';
export { DeliveryModule } from './delivery.module.js';
export type { DeviceRequest } from './device-request.js';
export { evaluateConditions } from './conditions.js';
export { DEVICE_WAIT_MS, withPatience } from './patience.js';
export { Links } from './links.js';
export { ReleaseReader } from './release-reader.js';
export { jsonIn, MAX_BODY_BYTES, readBody, readEndOfBody, type EndOfBody } from './request-body.js';
export { prepare } from './prepared.js';
export { deviceIn, parameter } from './query.js';
