import { optionOf, VARIABLES } from './options.js';
import { mostSimilar } from './similar.js';

/** An environment variable that no option has, and the one that was most likely meant. */
export interface Misspelt {
  readonly variable: string;
  readonly meant: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

const KNOWN = new Set<string>([
  ...VARIABLES.flatMap((variable) => [variable, ...(optionOf(variable).secret ? [`${variable}_FILE`] : [])]),
  'CONFIG',
]);
/** A name of one word is a word of other programs, too. */
const CANDIDATES = [...KNOWN].filter((variable) => variable.includes('_'));
/** Names that other servers have for the same thing. */
const SYNONYMS: Readonly<Record<string, string>> = {
  MQTT_BROKER_URL: 'MQTT_URL',
  NOTIFY_URL: 'NOTIFY',
  WEBHOOK_TOKEN: 'WEBHOOK_SECRET',
};
/** What Kubernetes sets for each Service, such as a registry or OtaFlux itself. */
const OF_A_SERVICE = /_(?:SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/;

/**
 * Variables of `environment` that look like a mistake in the name of an option. Other programs have variables, too:
 * what is not near to an option, or near to one that is given, is theirs.
 */
export function misspeltVariables(environment: Environment): Misspelt[] {
  const found: Misspelt[] = [];
  for (const variable of Object.keys(environment).sort()) {
    if (!environment[variable] || KNOWN.has(variable) || OF_A_SERVICE.test(variable)) continue;
    const meant = meantBy(variable);
    if (meant !== undefined && !environment[meant]) found.push({ variable, meant });
  }
  return found;
}

function meantBy(variable: string): string | undefined {
  const name = variable.toUpperCase().replace(/^OTAFLUX_/, '');
  // With our own name in front, it is meant for us.
  if (name !== variable.toUpperCase()) return KNOWN.has(name) ? name : mostSimilar(name, [...KNOWN]);
  return SYNONYMS[name] ?? (name.includes('_') ? mostSimilar(name, CANDIDATES) : undefined);
}
