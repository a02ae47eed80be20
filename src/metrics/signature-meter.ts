import { Injectable } from '@nestjs/common';
import { Counter, Gauge } from 'prom-client';
import { MetricsRegistry } from './metrics-registry.js';

/** What a verifier counts. */
export type SignatureCounts = Pick<SignatureMeter, 'verified' | 'keys' | 'readable'>;

/** The metrics of signatures and keys. */
@Injectable()
export class SignatureMeter {
  private readonly verifications: Counter<'result' | 'form'>;
  private readonly keyCount: Gauge;
  private readonly keysReadable: Gauge<'source'>;

  constructor(metrics: MetricsRegistry) {
    this.verifications = new Counter({
      name: 'otaflux_signature_verifications_total',
      help: 'Verified manifests by result: trusted, or the code of the reason. The form is that of the valid signature: bundle or legacy, otherwise none.',
      labelNames: ['result', 'form'],
      registers: [metrics],
    });
    this.keyCount = new Gauge({
      name: 'otaflux_signature_keys',
      help: 'Public keys in force. 0 if no signature is verified with a key.',
      registers: [metrics],
    });
    this.keysReadable = new Gauge({
      name: 'otaflux_signature_keys_readable',
      help: '1 if the key file, key folder or trusted root can be read, otherwise 0. While it is 0, the last content stays in force.',
      labelNames: ['source'],
      registers: [metrics],
    });
  }

  /** @param result `trusted` or a Distrust @param form a SignatureForm or `none` */
  verified(result: string, form: string): void {
    this.verifications.labels(result, form).inc();
  }

  /** The same meter for keys of plans, which are not counted as keys of firmware. */
  get withoutKeys(): SignatureCounts {
    return {
      verified: (result, form) => {
        this.verified(result, form);
      },
      keys: () => undefined,
      readable: (source, readable) => {
        this.readable(source, readable);
      },
    };
  }

  keys(count: number): void {
    this.keyCount.set(count);
  }

  /** @param source the option and its path. The configuration limits how many there are. */
  readable(source: string, readable: boolean): void {
    this.keysReadable.labels(source).set(Number(readable));
  }
}
