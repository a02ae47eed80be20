import { Option as Flag, type Command } from 'commander';
import { randomBytes } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { gather, parseOption } from '../config/index.js';
import { hashToken } from '../device/access/credentials.js';
import { signedQuery } from '../signed-url.js';
import { ConfigError, reasonOf } from '../errors.js';
import { isUnitName } from '../identity.js';
import { whyNoDeviceId } from '../repository-name.js';
import { isRepositoryName } from '../oci/names.js';
import { CliCommand } from './cli-command.js';
import { addFlags, givenFlags } from './flags.js';

/** 32 characters: the HTTP client of Zephyr's hawkBit has room for no more. */
const TOKEN_BYTES = 24;
const MILLISECONDS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `otaflux token DEVICE`: a new token, and the line for DEVICE_TOKENS_PATH. */
export function tokenCommand(): Command {
  const command = new CliCommand('token')
    .summary('Make an access token for a device.')
    .description(
      'Makes an access token for a device. Prints the token, which is shown only once, and the line for the file of --device-tokens-path.',
    )
    .argument('<device>', 'Device id.')
    .option('--unit <unit>', 'Make a token for this unit of the device only, such as a serial number.')
    .option('--file <path>', 'Append the line to this file, and print only the token.')
    .option('--json', 'Print token and line as JSON.')
    .withExamples(
      { does: 'Add a token to the file of the server', call: 'otaflux token esp32 --file tokens.txt' },
      { does: 'Make a token for one unit', call: 'otaflux token esp32 --unit 24:6f:28:aa:bb:cc --file tokens.txt' },
    )
    .withExitCodes({ 0: 'The token is made.', 2: 'An argument, an option or the file is wrong.' });
  return command.action((device: string) => {
    demandDevice(device);
    const { file, json, unit } = command.opts<{ file?: string; json?: boolean; unit?: string }>();
    demandUnit(unit);
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    const name = unit === undefined ? device : `${device}#${lineSafe(unit)}`;
    const line = `${name} sha256:${hashToken(token)}`;
    if (file !== undefined) append(file, line);
    if (json) process.stdout.write(`${JSON.stringify({ device, unit, token, line })}\n`);
    else process.stdout.write(file === undefined ? `${token}\n${line}\n` : `${token}\n`);
  });
}

/** `otaflux sign-url DEVICE`: URLs that give access to everyone who has them, for some time. */
export function signUrlCommand(): Command {
  const command = new CliCommand('sign-url')
    .summary('Make URLs that give access to the firmware of a device.')
    .description(
      'Makes signed URLs. Everyone who has such a URL can download the firmware of the device until the URL expires.',
    )
    .argument('<device>', 'Device id.')
    .addOption(new Flag('--expires-in <duration>', 'Validity, such as 90m, 12h or 30d. Default: 24h.').default('24h'))
    .addOption(
      new Flag('--url <url>', 'URL of the server, as devices reach it. Default: http://localhost:8080.').default(
        'http://localhost:8080',
      ),
    )
    .option('--unit <unit>', 'Make URLs for this unit of the device only.')
    .option('--json', 'Print the result as JSON.')
    .withExamples({
      does: 'Make URLs that are valid for a week',
      call: 'otaflux sign-url esp32 --expires-in 7d --url https://ota.example.com --device-url-secret-file secret.txt',
    })
    .withExitCodes({
      0: 'The URLs are made.',
      2: 'An argument or an option is wrong, or DEVICE_URL_SECRET is missing.',
    });
  return addFlags(command, ['DEVICE_URL_SECRET']).action(async (device: string) => {
    demandDevice(device);
    const { expiresIn, url, json, unit } = command.opts<{
      expiresIn: string;
      url: string;
      json?: boolean;
      unit?: string;
    }>();
    demandUnit(unit);
    const given = await gather({ flags: givenFlags(command), environment: process.env });
    const [secret] = (parseOption('DEVICE_URL_SECRET', given) as string[] | undefined) ?? [];
    if (secret === undefined)
      throw new ConfigError('DEVICE_URL_SECRET (--device-url-secret) is missing, expected the secret of the server');
    if (!URL.canParse(url))
      throw new ConfigError(`--url: got ${JSON.stringify(url)}, expected a URL such as https://ota.example.com`);
    const expires = Math.floor((Date.now() + millisecondsOf(expiresIn)) / 1000);
    const at = (path: string): string =>
      `${url.replace(/\/+$/, '')}/${path}?${signedQuery(secret, device, expires, unit)}`;
    const result = {
      device,
      unit,
      version: at('version'),
      firmware: at('firmware'),
      expires: new Date(expires * 1000).toISOString(),
    };
    process.stdout.write(json ? `${JSON.stringify(result)}\n` : `${result.version}\n${result.firmware}\n`);
  });
}

function demandDevice(device: string): void {
  if (!isRepositoryName(device))
    throw new ConfigError(
      `device: got ${JSON.stringify(device)}: ${whyNoDeviceId(device)}. Expected esp32 or line-1/sensor`,
    );
}

function demandUnit(unit: string | undefined): void {
  if (unit !== undefined && !isUnitName(unit))
    throw new ConfigError(
      `--unit: got ${JSON.stringify(unit)}, expected 1 to 128 printable characters, such as 24:6f:28:aa:bb:cc`,
    );
}

/** White space would end the name in the file of tokens. */
function lineSafe(unit: string): string {
  return unit.replaceAll(/[\s%]/g, encodeURIComponent);
}

function millisecondsOf(text: string): number {
  const [, amount = '', unit = ''] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const ms = Number(amount) * (MILLISECONDS[unit] ?? NaN);
  if (!(ms > 0))
    throw new ConfigError(`--expires-in: got ${JSON.stringify(text)}, expected a duration such as 90m, 12h or 30d`);
  return ms;
}

function append(path: string, line: string): void {
  try {
    appendFileSync(path, `${line}\n`, { mode: 0o600 });
  } catch (error) {
    throw new ConfigError(
      `--file: cannot write ${JSON.stringify(path)}: ${reasonOf(error)}. Name a file that can be written to`,
    );
  }
}
