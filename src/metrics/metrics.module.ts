import { Global, Module } from '@nestjs/common';
import { CacheMeter } from './cache-meter.js';
import { DeliveryMeter } from './delivery-meter.js';
import { EventMeter } from './event-meter.js';
import { HttpMeter } from './http-meter.js';
import { LimitMeter } from './limit-meter.js';
import { FleetMeter } from './fleet-meter.js';
import { ManagementServer } from './management-server.js';
import { MetricsController } from './metrics.controller.js';
import { MetricsRegistry } from './metrics-registry.js';
import { RolloutMeter } from './rollout-meter.js';
import { RegistryMeter } from './registry-meter.js';
import { SignatureMeter } from './signature-meter.js';
import { WebhookMeter } from './webhook-meter.js';
import { NotificationMeter } from './notification-meter.js';
import { ReleaseMeter } from './release-meter.js';

const METERS = [
  MetricsRegistry,
  RegistryMeter,
  ReleaseMeter,
  SignatureMeter,
  WebhookMeter,
  NotificationMeter,
  CacheMeter,
  LimitMeter,
  DeliveryMeter,
  HttpMeter,
  EventMeter,
  FleetMeter,
  RolloutMeter,
];

/** Provides the meters to every module, the route `/metrics`, and the management port. */
@Global()
@Module({
  controllers: [MetricsController],
  providers: [...METERS, ManagementServer],
  exports: [...METERS, ManagementServer],
})
export class MetricsModule {}
