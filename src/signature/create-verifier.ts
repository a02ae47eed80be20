import type { Logger } from '@nestjs/common';
import type { SignatureMeter } from '../metrics/index.js';
import type { Registry } from '../registry/index.js';
import { demandFolder } from '../usable-folder.js';
import { NoneVerifier } from './none-verifier.js';
import type { SignatureSettings } from './signature-settings.js';
import type { SignatureVerifier } from './signature-verifier.js';

/** Whether `settings` ask for signatures at all. */
export function wantsSignatures(settings: SignatureSettings): boolean {
  return (
    settings.cosignPubKeyPath !== undefined ||
    settings.cosignPubKey !== undefined ||
    settings.cosignCertificateIdentity !== undefined ||
    settings.cosignCertificateIdentityRegexp !== undefined ||
    settings.signaturePolicy !== undefined
  );
}

/** For commands: they check once, and print what they find. */
const SILENT = { log: (): void => undefined, error: (): void => undefined };
/** The verifier that `settings` ask for; rejects with ConfigError when a key or a trusted root cannot be read. */
export async function createVerifier(
  settings: SignatureSettings,
  registry: Registry,
  meter?: SignatureMeter,
  logger: Pick<Logger, 'log' | 'error'> = SILENT,
): Promise<SignatureVerifier> {
  if (!wantsSignatures(settings)) return new NoneVerifier();
  if (settings.sigstoreCacheDir !== undefined) await demandFolder('--sigstore-cache-dir', settings.sigstoreCacheDir);
  // What verifies certificates is loaded only where something is verified.
  return (await import('./cosign/index.js')).cosignVerifier(settings, registry, meter, logger);
}
