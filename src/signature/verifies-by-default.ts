import picomatch from 'picomatch';
import type { SignatureSettings } from './signature-settings.js';

/** Device ids that only a rule for all devices matches. */
const ANY_DEVICES = ['a-device-that-no-rule-names', 'a/device/that-no-rule-names'];

/**
 * Whether `settings` ask for the signature of a device that no rule names. Rules may exempt single devices; one that exempts
 * all, or a key path without a path, leaves nothing verified.
 */
export function verifiesByDefault(settings: SignatureSettings): boolean {
  const { cosignPubKeyPath = [], cosignPubKey, signaturePolicy = [] } = settings;
  const hasKeys = cosignPubKeyPath.length > 0 || cosignPubKey !== undefined;
  const hasIdentity = (settings.cosignCertificateIdentity ?? settings.cosignCertificateIdentityRegexp) !== undefined;
  const isRequired = signaturePolicy.some(({ required }) => required);
  if (!hasKeys && !hasIdentity && !isRequired) return false;
  return ANY_DEVICES.every((device) => {
    const rule = signaturePolicy.find(({ match }) => picomatch.isMatch(device, match, { dot: true }));
    return rule?.required ?? true;
  });
}
