import type { Clock } from '../../clock.js';
import type { Settings } from '../../config/index.js';
import type { ClientAddress, Links } from '../../delivery/index.js';
import type { DeviceAuthenticator } from './device-authenticator.js';
import { DeviceTokens } from './device-tokens.js';
import { ProxyHeader } from './proxy-header.js';
import { SignedUrls } from './signed-urls.js';

export { DeviceAuthenticator, type Access } from './device-authenticator.js';

/** What the authenticators of the settings need. */
export interface AccessTools {
  readonly addresses: ClientAddress;
  readonly links: Links;
  readonly clock: Clock;
}

/**
 * Returns the authenticators that the settings configure, and `own`. Without any, every device is allowed. With any, links
 * to firmware are signed, and a signed link is enough. Rejects with ConfigError.
 */
export async function authenticators(
  settings: Settings,
  { addresses, links, clock }: AccessTools,
  own: readonly DeviceAuthenticator[],
): Promise<DeviceAuthenticator[]> {
  const { tlsClientCaPath, tlsDeviceMap, deviceTokensPath, deviceUrlSecret, deviceHeader } = settings;
  const list = [
    ...(tlsClientCaPath === undefined ? [] : [await clientCertificates(tlsDeviceMap)]),
    ...(deviceTokensPath === undefined ? [] : [new DeviceTokens(deviceTokensPath)]),
    ...(deviceHeader === undefined ? [] : [new ProxyHeader(deviceHeader, addresses)]),
    ...own,
  ];
  if (list.length === 0 && deviceUrlSecret === undefined) return [];
  links.sign();
  return [...list, new SignedUrls(links.secrets, clock)];
}

/** The map of certificates is YAML. The parser is only loaded if there is a map. */
async function clientCertificates(mapPath: string | undefined): Promise<DeviceAuthenticator> {
  const { ClientCertificates } = await import('./client-certificates.js');
  return new ClientCertificates(mapPath);
}
