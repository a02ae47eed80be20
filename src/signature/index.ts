export { SignatureModule, type SignatureModuleOptions } from './signature.module.js';
export { SignatureVerifier, type Verification } from './signature-verifier.js';
