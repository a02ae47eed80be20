import type { Settings } from '../../config/index.js';
import type { ClientAddress } from '../../delivery/index.js';
import type { DeviceAuthenticator } from './device-authenticator.js';
import { DeviceTokens } from './device-tokens.js';
import { ProxyHeader } from './proxy-header.js';
import { SignedUrls } from './signed-urls.js';

export { DeviceAuthenticator, type Access } from './device-authenticator.js';

/**
 * Returns the authenticators that the settings configure. Without any, every device is allowed. Rejects with
 * ConfigError.
 */
export async function builtInAuthenticators(
  settings: Settings,
  addresses: ClientAddress,
): Promise<DeviceAuthenticator[]> {
  const { tlsClientCaPath, tlsDeviceMap, deviceTokensPath, deviceUrlSecret, deviceHeader } = settings;
  return [
    ...(tlsClientCaPath === undefined ? [] : [await clientCertificates(tlsDeviceMap)]),
    ...(deviceTokensPath === undefined ? [] : [new DeviceTokens(deviceTokensPath)]),
    ...(deviceUrlSecret === undefined ? [] : [new SignedUrls(deviceUrlSecret)]),
    ...(deviceHeader === undefined ? [] : [new ProxyHeader(deviceHeader, addresses)]),
  ];
}

/** The map of certificates is YAML. The parser is only loaded if there is a map. */
async function clientCertificates(mapPath: string | undefined): Promise<DeviceAuthenticator> {
  const { ClientCertificates } = await import('./client-certificates.js');
  return new ClientCertificates(mapPath);
}
