import type { Settings } from '../config/index.js';

/** What the adapters are made from. */
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
>;
