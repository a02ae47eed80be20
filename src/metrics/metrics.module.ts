import { Global, Module } from '@nestjs/common';
import { CacheMeter } from './cache-meter.js';
import { HttpMeter } from './http-meter.js';
import { MetricsRegistry } from './metrics-registry.js';
import { RegistryMeter } from './registry-meter.js';
import { ReleaseMeter } from './release-meter.js';

const METERS = [MetricsRegistry, RegistryMeter, ReleaseMeter, CacheMeter, HttpMeter];

/** Provides the meters to every module. */
@Global()
@Module({ providers: METERS, exports: METERS })
export class MetricsModule {}
