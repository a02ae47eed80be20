export { CacheMeter, type CacheSample } from './cache-meter.js';
export { HttpMeter, type RouteMeter } from './http-meter.js';
export { ManagementOnly, ManagementServer } from './management-server.js';
export { MetricsModule } from './metrics.module.js';
export { MetricsRegistry } from './metrics-registry.js';
export { RegistryMeter, type RegistryOperation } from './registry-meter.js';
export { SignatureMeter } from './signature-meter.js';
export { WebhookMeter, type QueueSample } from './webhook-meter.js';
export { ReleaseMeter, type DeviceSample, type RefreshResult } from './release-meter.js';
