import { Logger, Module, type DynamicModule, type ModuleMetadata } from '@nestjs/common';
import { Settings } from '../config/index.js';
import { SignatureMeter } from '../metrics/index.js';
import type { Part } from '../parts.js';
import { Registry } from '../registry/index.js';
import { createPlanKeyVerifier, createVerifier } from './create-verifier.js';
import { PlanVerifier } from './plan-verifier.js';
import { SignatureVerifier } from './signature-verifier.js';

/** Options of SignatureModule. */
export interface SignatureModuleOptions extends Pick<ModuleMetadata, 'imports'> {
  /** Your own verifier. */
  verifier?: Part<SignatureVerifier>;
}

/** The verifier for `--plan-pub-key-path`, or undefined. Nest starts and stops it. */
const PLAN_KEYS = Symbol('plan keys');

/** Provides PlanVerifier, and SignatureVerifier: the verifier for the settings, or yours. `imports` must provide Registry. */
@Module({})
export class SignatureModule {
  static forRoot({ imports = [], verifier }: SignatureModuleOptions = {}): DynamicModule {
    return {
      module: SignatureModule,
      imports,
      providers: [
        verifier
          ? typeof verifier === 'function'
            ? { provide: SignatureVerifier, useClass: verifier }
            : { provide: SignatureVerifier, useValue: verifier }
          : {
              provide: SignatureVerifier,
              useFactory: (settings: Settings, registry: Registry, meter: SignatureMeter) =>
                createVerifier(settings, registry, meter, new Logger('CosignVerifier')),
              inject: [Settings, Registry, SignatureMeter],
            },
        {
          provide: PLAN_KEYS,
          useFactory: (settings: Settings, registry: Registry, meter: SignatureMeter) =>
            createPlanKeyVerifier(settings, registry, meter.withoutKeys, new Logger('PlanVerifier')),
          inject: [Settings, Registry, SignatureMeter],
        },
        {
          provide: PlanVerifier,
          useFactory: (firmware: SignatureVerifier, own?: SignatureVerifier) => new PlanVerifier(firmware, own),
          inject: [SignatureVerifier, PLAN_KEYS],
        },
      ],
      exports: [SignatureVerifier, PlanVerifier],
    };
  }
}
