import { Injectable } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { MetricsRegistry } from './metrics-registry.js';

/** Counts what was verified, and how. */
@Injectable()
export class SignatureMeter {
  private readonly verifications: Counter<'result' | 'form'>;
  private readonly keyCount: Gauge;
  private readonly keysReadable: Gauge<'source'>;

  constructor(metrics: MetricsRegistry) {
    this.verifications = new Counter({
      name: 'otaflux_signature_verifications_total',
      help: 'Manifests judged by their signatures: trusted, or why not; form is bundle, legacy or none.',
      labelNames: ['result', 'form'],
      registers: [metrics],
    });
    this.keyCount = new Gauge({
      name: 'otaflux_signature_keys',
      help: 'Public keys in force; 0 when nothing is verified by key.',
      registers: [metrics],
    });
    this.keysReadable = new Gauge({
      name: 'otaflux_signature_keys_readable',
      help: '1 while a key file, folder or trusted root can be read, 0 while it cannot and its old content stays in force.',
      labelNames: ['source'],
      registers: [metrics],
    });
  }

  /** @param result `trusted` or a Distrust @param form a SignatureForm or `none` */
  verified(result: string, form: string): void {
    this.verifications.labels(result, form).inc();
  }

  keys(count: number): void {
    this.keyCount.set(count);
  }

  /** @param source the option and its path: as many as an operator configures */
  readable(source: string, readable: boolean): void {
    this.keysReadable.labels(source).set(Number(readable));
  }
}
