export { createPlanKeyVerifier, createVerifier, wantsSignatures } from './create-verifier.js';
export { PlanVerifier } from './plan-verifier.js';
export { exemptions, namesSigners, openPatterns } from './gaps.js';
export type { SignatureSettings } from './signature-settings.js';
export { SignatureModule, type SignatureModuleOptions } from './signature.module.js';
export {
  SignatureVerifier,
  type Distrust,
  type SignatureForm,
  type Signer,
  type Verification,
} from './signature-verifier.js';
