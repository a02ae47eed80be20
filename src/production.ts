import { isLoopback, type Settings } from './config/index.js';
import { containsEveryone } from './delivery/index.js';
import { ConfigError } from './errors.js';
import { exemptions, namesSigners, openPatterns } from './signature/index.js';

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
  const missing: string[] = hasOwnVerifier ? [] : unsigned(settings);
  if (webhookSecret.length === 0) missing.push('No webhook secret: set WEBHOOK_SECRET.');
  if (containsEveryone(trustProxy))
    missing.push('TRUST_PROXY contains every address: every client can forge its own. Set it to your proxies only.');
  if (settings.menderAccept === 'first-use' && settings.protocols.includes('mender') && !demandsCredentials(settings))
    missing.push('Every key of a Mender device is accepted: set MENDER_ACCEPT to a file, or require credentials.');
  if (!hasOwnPorts) return missing;
  if (tlsCertPath === undefined && trustProxy.length === 0)
    missing.push('No TLS for devices: set TLS_CERT_PATH and TLS_KEY_PATH, or TRUST_PROXY if a proxy terminates TLS.');
  if (managementToken === undefined && !isLoopback(metricsListenAddr.host))
    missing.push('Open management port: set MANAGEMENT_TOKEN, or METRICS_LISTEN_ADDR to 127.0.0.1:9090.');
  return missing;
}

function demandsCredentials({ tlsClientCaPath, deviceTokensPath, deviceHeader }: Settings): boolean {
  return [tlsClientCaPath, deviceTokensPath, deviceHeader].some((value) => value !== undefined);
}

/** Returns why devices may run firmware that nobody of yours has signed. */
function unsigned(settings: Settings): string[] {
  const verification = namesSigners(settings)
    ? []
    : ['No signature verification: set COSIGN_PUB_KEY_PATH, COSIGN_CERTIFICATE_IDENTITY or SIGNATURE_POLICY.'];
  const rules = exemptions(settings).map(
    ({ match, number }) =>
      `Unsigned firmware: rule ${number} of SIGNATURE_POLICY (${JSON.stringify(match)}) has required: false. Name its signers.`,
  );
  const patterns = openPatterns(settings).map(
    ({ where, pattern }) =>
      `Anybody can sign: ${where} is ${JSON.stringify(pattern)}. Use a pattern for your own only, with ^ and $.`,
  );
  return [...verification, ...rules, ...patterns];
}
