import type { Settings } from '../../config/index.js';
import type { ClientAddress } from '../../delivery/index.js';
import { ClientCertificates } from './client-certificates.js';
import type { DeviceAuthenticator } from './device-authenticator.js';
import { DeviceTokens } from './device-tokens.js';
import { ProxyHeader } from './proxy-header.js';
import { SignedUrls } from './signed-urls.js';

export { DeviceAuthenticator, type Access } from './device-authenticator.js';
export { hashToken } from './device-tokens.js';
export { signedQuery } from './signed-urls.js';

/** The authenticators that the settings ask for; none lets every device in. Throws ConfigError. */
export function builtInAuthenticators(settings: Settings, addresses: ClientAddress): DeviceAuthenticator[] {
  const { tlsClientCaPath, tlsDeviceMap, deviceTokensPath, deviceUrlSecret, deviceHeader } = settings;
  return [
    ...(tlsClientCaPath === undefined ? [] : [new ClientCertificates(tlsDeviceMap)]),
    ...(deviceTokensPath === undefined ? [] : [new DeviceTokens(deviceTokensPath)]),
    ...(deviceUrlSecret === undefined ? [] : [new SignedUrls(deviceUrlSecret)]),
    ...(deviceHeader === undefined ? [] : [new ProxyHeader(deviceHeader, addresses)]),
  ];
}
