import type { Settings } from '../config/index.js';

/** The settings that the verifiers need. */
export type SignatureSettings = Pick<
  Settings,
  | 'registryUrl'
  | 'repositoryPrefix'
  | 'registryTimeout'
  | 'cosignPubKeyPath'
  | 'cosignPubKey'
  | 'cosignMatchReference'
  | 'cosignCertificateIdentity'
  | 'cosignCertificateIdentityRegexp'
  | 'cosignCertificateOidcIssuer'
  | 'cosignCertificateOidcIssuerRegexp'
  | 'cosignInsecureIgnoreTlog'
  | 'cosignInsecureIgnoreSct'
  | 'sigstoreTrustedRootPath'
  | 'sigstoreCacheDir'
  | 'signaturePolicy'
  | 'planPubKeyPath'
>;
