import { Controller, Get, Header, UseGuards } from '@nestjs/common';
import { ManagementOnly } from './management-server.js';
import { MetricsRegistry } from './metrics-registry.js';

/** `GET /metrics` in the Prometheus text format 0.0.4. */
@Controller('metrics')
@UseGuards(ManagementOnly)
export class MetricsController {
  constructor(private readonly metrics: MetricsRegistry) {}

  @Get()
  @Header('Content-Type', 'text/plain; version=0.0.4; charset=utf-8')
  scrape(): Promise<string> {
    return this.metrics.metrics();
  }
}
