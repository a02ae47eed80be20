import {
  misspeltVariables,
  MIN_SECRET_LENGTH,
  optionOf,
  settingOf,
  VARIABLES,
  type Settings,
} from '../config/index.js';
import { containsEveryone } from '../delivery/index.js';
import { noProxyOf } from '../no-proxy.js';
import { percentDecoded } from '../percent.js';
import { openPatterns } from '../signature/index.js';

/** A log line about something that is most likely a mistake, and stops nothing. */
export interface Warning {
  readonly event: string;
  readonly reason: string;
}

/** What is suspicious about `settings` and the environment that they came from. */
export function startWarnings(settings: Settings, environment: NodeJS.ProcessEnv): Warning[] {
  return [
    misspelt(environment),
    shortSecrets(settings),
    noProxy(environment),
    anySigner(settings),
    anyProxy(settings),
  ].filter((one) => one !== undefined);
}

function misspelt(environment: NodeJS.ProcessEnv): Warning | undefined {
  const found = misspeltVariables(environment).map(({ variable, meant }) => `${variable}: did you mean ${meant}?`);
  if (found.length === 0) return undefined;
  return {
    event: 'config.unknown_variable',
    reason: `these environment variables have no effect. ${found.join(' ')}`,
  };
}

/** Those that sign are refused where they are read. */
function shortSecrets(settings: Settings): Warning | undefined {
  const values = settings as unknown as Record<string, string | string[] | undefined>;
  const short = VARIABLES.filter((variable) => optionOf(variable).secret).flatMap((variable) => {
    const value = [values[settingOf(variable)] ?? []].flat().find((text) => isShort(secretIn(text)));
    if (value === undefined) return [];
    return [isUrl(value) ? `the password in ${variable}` : variable];
  });
  if (short.length === 0) return undefined;
  return {
    event: 'config.short_secret',
    reason: `${short.join(', ')}: shorter than ${MIN_SECRET_LENGTH} characters, which can be guessed. The command openssl rand -hex 32 prints a good one`,
  };
}

function isShort(secret: string): boolean {
  return secret !== '' && secret.length < MIN_SECRET_LENGTH;
}

/** The password in a URL, else the text itself. */
function secretIn(value: string): string {
  return isUrl(value) ? percentDecoded(new URL(value).password) : value;
}

function isUrl(value: string): boolean {
  return URL.canParse(value) && value.includes('://');
}

function noProxy(environment: NodeJS.ProcessEnv): Warning | undefined {
  const { unreadable } = noProxyOf(environment);
  if (unreadable.length === 0) return undefined;
  return {
    event: 'config.no_proxy_ignored',
    reason: `NO_PROXY: ignored ${unreadable.map((entry) => JSON.stringify(entry)).join(', ')}, expected host names, addresses, networks such as 10.0.0.0/8, or *`,
  };
}

function anySigner(settings: Settings): Warning | undefined {
  const open = openPatterns(settings);
  if (open.length === 0) return undefined;
  const named = open.map(({ where, pattern }) => `${where} is ${JSON.stringify(pattern)}`).join(', ');
  return {
    event: 'signature.any_signer',
    reason: `${named}: strangers match it, so that anybody can sign firmware. Use a pattern that only your own identities and issuers match, with ^ and $`,
  };
}

function anyProxy({ trustProxy }: Settings): Warning | undefined {
  if (!containsEveryone(trustProxy)) return undefined;
  return {
    event: 'proxy.any_trusted',
    reason:
      'TRUST_PROXY contains every address: every client can forge X-Forwarded-For, and so its limits and its address in logs. Set it to the addresses of your proxies only',
  };
}
