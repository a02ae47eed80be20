import { Command } from 'commander';
import { randomBytes } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { gather, parseOption } from '../config/index.js';
import { hashToken, signedQuery } from '../device/access/credentials.js';
import { ConfigError, reasonOf } from '../errors.js';
import { isRepositoryName } from '../oci/names.js';
import { addFlags, givenFlags } from './flags.js';

const TOKEN_BYTES = 32;
const MILLISECONDS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `otaflux token DEVICE`: a new token, and the line for DEVICE_TOKENS_PATH. */
export function tokenCommand(): Command {
  const command = new Command('token')
    .description('Make a token for a device: prints it once, and the line for --device-tokens-path.')
    .argument('<device>', 'the device id')
    .option('--file <path>', 'append the line to this file, and print the token alone')
    .option('--json', 'print both as JSON');
  return command.action((device: string) => {
    demandDevice(device);
    const { file, json } = command.opts<{ file?: string; json?: boolean }>();
    const token = randomBytes(TOKEN_BYTES).toString('base64url');
    const line = `${device} sha256:${hashToken(token)}`;
    if (file !== undefined) append(file, line);
    if (json) process.stdout.write(`${JSON.stringify({ device, token, line })}\n`);
    else process.stdout.write(file === undefined ? `${token}\n${line}\n` : `${token}\n`);
  });
}

/** `otaflux sign-url DEVICE`: URLs that let whoever has them in, for some time. */
export function signUrlCommand(): Command {
  const command = new Command('sign-url')
    .description('Sign the URLs of a device: whoever has them may ask for its firmware until they expire.')
    .argument('<device>', 'the device id')
    .option('--expires-in <duration>', 'such as 90m, 12h or 30d', '24h')
    .option('--url <url>', 'where devices reach the server', 'http://localhost:8080')
    .option('--json', 'print the result as JSON');
  return addFlags(command, ['DEVICE_URL_SECRET']).action(async (device: string) => {
    demandDevice(device);
    const { expiresIn, url, json } = command.opts<{ expiresIn: string; url: string; json?: boolean }>();
    const given = await gather({ flags: givenFlags(command), environment: process.env });
    const [secret] = (parseOption('DEVICE_URL_SECRET', given) as string[] | undefined) ?? [];
    if (secret === undefined)
      throw new ConfigError('DEVICE_URL_SECRET (--device-url-secret): is missing, expected a text');
    if (!URL.canParse(url)) throw new ConfigError(`--url: got ${JSON.stringify(url)}, expected a URL`);
    const expires = Math.floor((Date.now() + millisecondsOf(expiresIn)) / 1000);
    const at = (path: string): string => `${url.replace(/\/+$/, '')}/${path}?${signedQuery(secret, device, expires)}`;
    const result = {
      device,
      version: at('version'),
      firmware: at('firmware'),
      expires: new Date(expires * 1000).toISOString(),
    };
    process.stdout.write(json ? `${JSON.stringify(result)}\n` : `${result.version}\n${result.firmware}\n`);
  });
}

function demandDevice(device: string): void {
  if (!isRepositoryName(device))
    throw new ConfigError(`device: got ${JSON.stringify(device)}, expected a device id such as esp32 or line-1/sensor`);
}

function millisecondsOf(text: string): number {
  const [, amount = '', unit = ''] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const ms = Number(amount) * (MILLISECONDS[unit] ?? NaN);
  if (!(ms > 0)) throw new ConfigError(`--expires-in: got ${JSON.stringify(text)}, expected 90m, 12h or 30d`);
  return ms;
}

function append(path: string, line: string): void {
  try {
    appendFileSync(path, `${line}\n`, { mode: 0o600 });
  } catch (error) {
    throw new ConfigError(`--file: cannot write ${JSON.stringify(path)}: ${reasonOf(error)}`);
  }
}
