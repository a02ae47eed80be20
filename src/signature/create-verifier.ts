import type { Logger } from '@nestjs/common';
import type { SignatureCounts } from '../metrics/index.js';
import type { Registry } from '../registry/index.js';
import { demandFolder } from '../usable-folder.js';
import { NoneVerifier } from './none-verifier.js';
import type { SignatureSettings } from './signature-settings.js';
import type { SignatureVerifier } from './signature-verifier.js';

/** Returns whether `settings` require signatures. */
export function wantsSignatures(settings: SignatureSettings): boolean {
  return (
    settings.cosignPubKeyPath !== undefined ||
    settings.cosignPubKey !== undefined ||
    settings.cosignCertificateIdentity !== undefined ||
    settings.cosignCertificateIdentityRegexp !== undefined ||
    settings.signaturePolicy !== undefined
  );
}

/** For commands, which verify once and print the result. */
const SILENT = { log: (): void => undefined, error: (): void => undefined };
/** Returns the verifier for `settings`. Rejects with ConfigError if a key or a trusted root cannot be read. */
export async function createVerifier(
  settings: SignatureSettings,
  registry: Registry,
  meter?: SignatureCounts,
  logger: Pick<Logger, 'log' | 'error'> = SILENT,
): Promise<SignatureVerifier> {
  if (!wantsSignatures(settings)) return new NoneVerifier();
  if (settings.sigstoreCacheDir !== undefined) await demandFolder('--sigstore-cache-dir', settings.sigstoreCacheDir);
  // The code for certificates is only loaded if signatures are verified.
  return (await import('./cosign/index.js')).cosignVerifier(settings, registry, meter, logger);
}

/**
 * Returns the verifier for plans if they have keys of their own (`--plan-pub-key-path`), otherwise undefined. Rejects
 * with ConfigError if a key cannot be read.
 */
export async function createPlanKeyVerifier(
  settings: SignatureSettings,
  registry: Registry,
  meter?: SignatureCounts,
  logger: Pick<Logger, 'log' | 'error'> = SILENT,
): Promise<SignatureVerifier | undefined> {
  const { planPubKeyPath: paths } = settings;
  if (paths === undefined) return undefined;
  return (await import('./cosign/index.js')).planKeyVerifier(paths, settings, registry, meter, logger);
}
