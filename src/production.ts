import { isLoopback, type Settings } from './config/index.js';
import { ConfigError } from './errors.js';
import { verifiesByDefault } from './signature/index.js';

/** Facts that are not in the settings. */
export interface Surroundings {
  /** Whether your own verifier checks the signatures. */
  readonly hasOwnVerifier: boolean;
  /** Whether the server opens its own ports. False inside of another application. */
  readonly hasOwnPorts: boolean;
}

/**
 * Throws a ConfigError that lists every requirement of PRODUCTION that the settings do not meet, one per line. Does
 * nothing if PRODUCTION is off.
 */
export function demandProduction(settings: Settings, surroundings: Surroundings): void {
  if (!settings.production) return;
  const missing = missingIn(settings, surroundings);
  if (missing.length === 0) return;
  const count = missing.length === 1 ? '1 requirement is' : `${missing.length} requirements are`;
  throw new ConfigError([`--production: ${count} not met.`, ...missing.map((line) => `  - ${line}`)].join('\n'));
}

function missingIn(settings: Settings, { hasOwnVerifier, hasOwnPorts }: Surroundings): string[] {
  const { webhookSecret = [], trustProxy = [], tlsCertPath, managementToken, metricsListenAddr } = settings;
  const missing: string[] = [];
  if (!hasOwnVerifier && !verifiesByDefault(settings))
    missing.push(
      'No signature verification: set COSIGN_PUB_KEY_PATH, COSIGN_CERTIFICATE_IDENTITY or SIGNATURE_POLICY.',
    );
  if (webhookSecret.length === 0) missing.push('No webhook secret: set WEBHOOK_SECRET.');
  if (!hasOwnPorts) return missing;
  if (tlsCertPath === undefined && trustProxy.length === 0)
    missing.push('No TLS for devices: set TLS_CERT_PATH and TLS_KEY_PATH, or TRUST_PROXY if a proxy terminates TLS.');
  if (managementToken === undefined && !isLoopback(metricsListenAddr.host))
    missing.push('Open management port: set MANAGEMENT_TOKEN, or METRICS_LISTEN_ADDR to 127.0.0.1:9090.');
  return missing;
}
