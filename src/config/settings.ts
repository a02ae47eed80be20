import { z } from 'zod';
import { ConfigError } from '../errors.js';
import { optionOf, OPTIONS, settingOf, VARIABLES, type SettingValues, type Variable } from './options.js';
import type { GivenValues } from './sources.js';

/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging, @typescript-eslint/no-empty-object-type --
   the only way to give a class, which is the injection token, the members of a mapped type */
/** Every option, read and checked. It is also the injection token of the options. Its members come from the option table. */
export abstract class Settings {}
export interface Settings extends SettingValues {}
/* eslint-enable */

/** The zod schema of all options, by setting name; `@nestjs/config` validates with it. */
export const settingsSchema = z
  .object(Object.fromEntries(VARIABLES.map((variable) => [settingOf(variable), optionSchema(variable)])))
  .superRefine((values, context) => {
    const settings = values as unknown as SettingValues;
    demandPair(settings, ['tlsCertPath', 'tlsKeyPath'], context);
    demandPair(settings, ['mqttClientCertPath', 'mqttClientKeyPath'], context);
    demandCertificate(settings, context);
    demandIssuer(settings, context);
    if (settings.registryPassword !== undefined && settings.registryUsername === undefined) {
      context.addIssue({ code: 'custom', path: ['registryUsername'], message: 'a user, because a password is given' });
    }
  });

/**
 * The settings that `given` makes, defaults filled in.
 *
 * @throws ConfigError with one line that names the option as it was written, what it got (a secret is not shown) and what it takes.
 */
export function parseSettings(given: GivenValues): Settings {
  const input = Object.fromEntries(
    VARIABLES.map((variable) => [settingOf(variable), given[variable]?.value ?? optionOf(variable).default]),
  );
  const result = settingsSchema.safeParse(input);
  if (result.success) return result.data as unknown as Settings;
  const issue = result.error.issues[0];
  const variable = VARIABLES.find((candidate) => settingOf(candidate) === issue?.path[0]);
  throw new ConfigError(
    variable ? explain(variable, given, issue?.message ?? '') : (issue?.message ?? 'wrong configuration'),
  );
}

/** The value of one option alone, for commands that take few; throws ConfigError like `parseSettings`. */
export function parseOption(variable: Variable, given: GivenValues): unknown {
  const result = optionSchema(variable).safeParse(given[variable]?.value ?? optionOf(variable).default);
  if (result.success) return result.data;
  throw new ConfigError(explain(variable, given, result.error.issues[0]?.message ?? ''));
}

function optionSchema(variable: Variable): z.ZodType {
  const { kind, required, default: fallback } = optionOf(variable);
  return required || fallback !== undefined ? kind.schema : kind.schema.optional();
}

function demandPair(
  settings: SettingValues,
  [cert, key]: readonly [keyof SettingValues, keyof SettingValues],
  context: z.RefinementCtx,
): void {
  const demand = (path: string, message: string): void => {
    context.addIssue({ code: 'custom', path: [path], message });
  };
  if (settings[cert] === undefined && settings[key] !== undefined) demand(cert, 'a path, because a key is given');
  if (settings[key] === undefined && settings[cert] !== undefined)
    demand(key, 'a path, because a certificate is given');
}

function demandCertificate({ tlsCertPath, tlsClientCaPath }: SettingValues, context: z.RefinementCtx): void {
  if (tlsClientCaPath === undefined || tlsCertPath !== undefined) return;
  context.addIssue({
    code: 'custom',
    path: ['tlsCertPath'],
    message: 'a path, because client certificates are asked for',
  });
}

/** An identity without its issuer could be vouched for by anybody (cosign demands both, too). */
function demandIssuer(settings: SettingValues, context: z.RefinementCtx): void {
  const identity = settings.cosignCertificateIdentity ?? settings.cosignCertificateIdentityRegexp;
  const issuer = settings.cosignCertificateOidcIssuer ?? settings.cosignCertificateOidcIssuerRegexp;
  if ((identity === undefined) === (issuer === undefined)) return;
  const [missing, given] =
    issuer === undefined ? ['cosignCertificateOidcIssuer', 'an issuer'] : ['cosignCertificateIdentity', 'an identity'];
  context.addIssue({
    code: 'custom',
    path: [missing],
    message: `${given}, because identity and issuer belong together`,
  });
}

function explain(variable: Variable, given: GivenValues, issue: string): string {
  const { value, where } = given[variable] ?? { value: undefined, where: `${variable} (--${flag(variable)})` };
  const own = OPTIONS[variable].kind.takes;
  const takes = issue.startsWith('Invalid input') ? own : issue;
  if (value === undefined) return `${where}: is missing, takes ${takes}`;
  const got = optionOf(variable).secret ? 'a secret that is not shown' : JSON.stringify(value).slice(0, 200);
  return `${where}: got ${got}, takes ${takes}`;
}

function flag(variable: Variable): string {
  return variable.toLowerCase().replaceAll('_', '-');
}
