import { Module, type DynamicModule, type Type } from '@nestjs/common';
import { Settings } from '../config/index.js';
import { ConfigError } from '../errors.js';
import { NoneVerifier } from './none-verifier.js';
import { SignatureVerifier } from './signature-verifier.js';

export interface SignatureModuleOptions {
  /** A verifier of your own. */
  verifier?: Type<SignatureVerifier>;
}

/** Provides SignatureVerifier. */
@Module({})
export class SignatureModule {
  static forRoot({ verifier }: SignatureModuleOptions = {}): DynamicModule {
    return {
      module: SignatureModule,
      providers: [
        verifier
          ? { provide: SignatureVerifier, useClass: verifier }
          : { provide: SignatureVerifier, useFactory: createVerifier, inject: [Settings] },
      ],
      exports: [SignatureVerifier],
    };
  }
}

/** Serving without the check that was asked for would be worse than not serving. */
function createVerifier(settings: Settings): SignatureVerifier {
  if (settings.cosignPubKeyPath !== undefined) {
    throw new ConfigError(
      '--cosign-pub-key-path: this version cannot verify signatures yet, and does not serve unverified firmware instead; leave the option out to serve without verification',
    );
  }
  return new NoneVerifier();
}
