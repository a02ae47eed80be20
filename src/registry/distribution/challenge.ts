/** One challenge of a `WWW-Authenticate` header (RFC 9110, section 11.6.1). Names are in lower case. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const PARAMETER = new RegExp(`^\\s*,?\\s*(${TOKEN})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|(${TOKEN}))`);
const SCHEME = new RegExp(`^\\s*,?\\s*(${TOKEN})(?:\\s+|,|$)`);

/** Returns all challenges of a header. One line may contain several. Leaves out challenges that cannot be parsed. */
export function parseChallenges(value: string | string[] | undefined): Challenge[] {
  const challenges: Challenge[] = [];
  for (let rest = (Array.isArray(value) ? value.join(', ') : (value ?? '')).slice(0, 8192); rest;) {
    const scheme = SCHEME.exec(rest);
    if (!scheme?.[1]) break;
    rest = rest.slice(scheme[0].replace(/,$/, '').length);
    const parameters: Record<string, string> = {};
    for (let match = PARAMETER.exec(rest); match?.[1]; match = PARAMETER.exec(rest)) {
      parameters[match[1].toLowerCase()] = match[2]?.replaceAll(/\\(.)/g, '$1') ?? match[3] ?? '';
      rest = rest.slice(match[0].length);
    }
    challenges.push({ scheme: scheme[1].toLowerCase(), parameters });
  }
  return challenges;
}

/** Returns the challenge to answer: Bearer if there is one, otherwise Basic. */
export function preferredChallenge(value: string | string[] | undefined): Challenge | undefined {
  const challenges = parseChallenges(value);
  return (
    challenges.find(({ scheme, parameters }) => scheme === 'bearer' && parameters.realm) ??
    challenges.find(({ scheme }) => scheme === 'basic')
  );
}
