import { ConfigError } from '../errors.js';
import { Unreadable } from './kinds.js';
import { flagOf, optionOf, settingOf, VARIABLES, type SettingValues, type Variable } from './options.js';
import type { GivenValues } from './sources.js';

/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging, @typescript-eslint/no-empty-object-type --
   the only way to give a class, which is the injection token, the members of a mapped type */
/**
 * The validated values of all options. The class is also their injection token. Its members come from the option table.
 */
export abstract class Settings {}
export interface Settings extends SettingValues {}
/* eslint-enable */

/**
 * Returns the settings for `given`, with defaults.
 *
 * @throws ConfigError with one line: the option as it was written, its value (not for a secret), and the values that it
 *   accepts
 */
export function parseSettings(given: GivenValues): Settings {
  const read = Object.fromEntries(VARIABLES.map((variable) => [settingOf(variable), parseOption(variable, given)]));
  const settings = read as unknown as Settings;
  const problem = problemOf(settings);
  if (problem) throw new ConfigError(explain(problem.option, given, problem.takes));
  return settings;
}

/** Returns the value of one option, for commands that need few. Throws ConfigError like `parseSettings`. */
export function parseOption(variable: Variable, given: GivenValues): unknown {
  const { kind, required, default: fallback } = optionOf(variable);
  const written = given[variable]?.value ?? fallback;
  if (written === undefined && !required) return undefined;
  try {
    return kind.read(written);
  } catch (error) {
    if (error instanceof Unreadable) throw new ConfigError(explain(variable, given, error.message));
    throw error;
  }
}

interface Problem {
  readonly option: Variable;
  readonly takes: string;
}

/** Returns the first option that is missing although another one requires it. */
function problemOf(settings: SettingValues): Problem | undefined {
  return (
    pairProblem(settings, 'TLS_CERT_PATH', 'TLS_KEY_PATH') ??
    pairProblem(settings, 'MQTT_CLIENT_CERT_PATH', 'MQTT_CLIENT_KEY_PATH') ??
    certificateProblem(settings) ??
    mapProblem(settings) ??
    issuerProblem(settings) ??
    userProblem(settings) ??
    headerProblem(settings)
  );
}

function pairProblem(settings: SettingValues, cert: Variable, key: Variable): Problem | undefined {
  const isGiven = (variable: Variable): boolean => settings[settingOf(variable) as keyof SettingValues] !== undefined;
  if (isGiven(key) && !isGiven(cert)) return { option: cert, takes: `a path, because ${key} is given` };
  if (isGiven(cert) && !isGiven(key)) return { option: key, takes: `a path, because ${cert} is given` };
  return undefined;
}

function certificateProblem({ tlsCertPath, tlsClientCaPath }: SettingValues): Problem | undefined {
  if (tlsClientCaPath === undefined || tlsCertPath !== undefined) return undefined;
  return { option: 'TLS_CERT_PATH', takes: 'a path, because TLS_CLIENT_CA_PATH is given' };
}

/** The map is read for client certificates only. */
function mapProblem({ tlsClientCaPath, tlsDeviceMap }: SettingValues): Problem | undefined {
  if (tlsDeviceMap === undefined || tlsClientCaPath !== undefined) return undefined;
  return {
    option: 'TLS_CLIENT_CA_PATH',
    takes:
      'a path, because TLS_DEVICE_MAP maps the names in client certificates, which no device has to show otherwise',
  };
}

/** Any issuer could confirm an identity, so the issuer must be set too, as in cosign. */
function issuerProblem(settings: SettingValues): Problem | undefined {
  const identity = settings.cosignCertificateIdentity ?? settings.cosignCertificateIdentityRegexp;
  const issuer = settings.cosignCertificateOidcIssuer ?? settings.cosignCertificateOidcIssuerRegexp;
  if ((identity === undefined) === (issuer === undefined)) return undefined;
  return issuer === undefined
    ? {
        option: 'COSIGN_CERTIFICATE_OIDC_ISSUER',
        takes: 'an issuer, because an identity counts only together with who vouches for it',
      }
    : { option: 'COSIGN_CERTIFICATE_IDENTITY', takes: 'an identity, because an issuer alone vouches for anybody' };
}

function userProblem({ registryPassword, registryUsername }: SettingValues): Problem | undefined {
  if (registryPassword === undefined || registryUsername !== undefined) return undefined;
  return { option: 'REGISTRY_USERNAME', takes: 'a user name, because REGISTRY_PASSWORD is given' };
}

/** The header is only read from trusted proxies. Without one, no device would be accepted. */
function headerProblem({ deviceHeader, trustProxy = [] }: SettingValues): Problem | undefined {
  if (deviceHeader === undefined || trustProxy.length > 0) return undefined;
  return {
    option: 'TRUST_PROXY',
    takes:
      'the addresses of the proxies that set DEVICE_HEADER, such as 10.0.0.0/8, because the header is read from those only',
  };
}

function explain(variable: Variable, given: GivenValues, takes: string): string {
  const { value, where } = given[variable] ?? { value: undefined, where: `${variable} (--${flagOf(variable)})` };
  if (value === undefined) return `${where} is missing, expected ${takes}`;
  const got = optionOf(variable).secret
    ? 'a secret that is not shown'
    : withoutPassword(JSON.stringify(value)).slice(0, 200);
  return `${where}: got ${got}, expected ${takes}`;
}

/** Hides user and password in what may be a URL: all before the last @, whatever a password contains. */
function withoutPassword(text: string): string {
  return text.replace(/^("?(?:[a-z][a-z+.-]*:\/\/)?).*@/is, '$1…@');
}
