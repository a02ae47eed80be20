import picomatch from 'picomatch';
import type { SignatureSettings } from './signature-settings.js';

/** Device ids that match only a rule for all devices. */
const ANY_DEVICES = ['a-device-that-no-rule-names', 'a/device/that-no-rule-names'];

/**
 * Returns whether `settings` require a signature for a device that no rule names. Rules may exempt single devices. A
 * rule that exempts all devices, and a key option without a path, require none.
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
