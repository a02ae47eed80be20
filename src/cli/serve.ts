import { Command } from 'commander';
import { gather, optionOf, settingOf, VARIABLES, type GivenValues, type Settings } from '../config/index.js';
import { ConfigError, reasonOf } from '../errors.js';
import type { PinoLogger } from '../logging/index.js';
import type { OwnParts } from '../app.module.js';
import { percentDecoded } from '../percent.js';
import type { Service } from '../service.js';
import { after } from '../timers.js';
import { packageVersion } from '../version.js';
import { addFlags, givenFlags } from './flags.js';
import { withPlugins } from './plugins.js';
import { startWarnings } from './warnings.js';

const CONTEXT = 'OtaFlux';
/** After the end, for whatever still has to end by itself. */
const LINGER_MS = 1_000;
/** What a shell reports of a process that a signal ended. */
const EXIT_BY_SIGNAL = { SIGINT: 130, SIGTERM: 143 } as const;

/** `otaflux serve`, which is also what no command at all means. */
export function serveCommand(): Command {
  const command = new Command('serve').description('Serve devices (the default).');
  return addFlags(command, VARIABLES).action(async () => {
    await serve(await gather({ flags: givenFlags(command), environment: process.env }));
  });
}

async function serve(given: GivenValues): Promise<void> {
  const startedMs = performance.now();
  const { parts, settings } = await withPlugins(given);
  // The service is loaded once it is clear that it will run: --help and a wrong flag answer at once.
  const { createLogger } = await import('../logging/index.js');
  const logger = await createLogger({
    level: settings.logLevel,
    format: settings.logFormat ?? (process.stdout.isTTY ? 'pretty' : 'json'),
    secrets: secretsIn(given, settings),
  });
  const service = await started(given, settings, logger, parts);
  for (const warning of startWarnings(settings, process.env)) logger.warn(warning, CONTEXT);
  await warnAboutOpenDoors(settings, logger);
  logger.log(
    {
      event: 'server.ready',
      version: packageVersion(),
      address: `${service.address.address}:${service.address.port}`,
      management: `${service.managementAddress.address}:${service.managementAddress.port}`,
      ms: Math.round(performance.now() - startedMs),
    },
    CONTEXT,
  );
  await untilSignal(logger);
  await service.stop();
  logger.log({ event: 'server.stopped' }, CONTEXT);
  // A driver whose connection never came about may leave its socket behind (nats.js does).
  after(LINGER_MS, () => process.exit(process.exitCode ?? 0), { background: true });
}

async function started(given: GivenValues, settings: Settings, logger: PinoLogger, parts: OwnParts): Promise<Service> {
  try {
    const { Service } = await import('../service.js');
    return await Service.start({ given, settings, logger, ...parts });
  } catch (error) {
    if (!(error instanceof ConfigError)) logger.fatal({ event: 'server.failed', reason: reasonOf(error) }, CONTEXT);
    throw error;
  }
}

/** Resolves at the first SIGTERM or SIGINT; from then on a second one ends the process at once. */
function untilSignal(logger: PinoLogger): Promise<void> {
  return new Promise((resolve) => {
    let stopping = false;
    const onSignal = (signal: keyof typeof EXIT_BY_SIGNAL): void => {
      if (stopping) process.exit(EXIT_BY_SIGNAL[signal]);
      stopping = true;
      logger.log({ event: 'server.stopping', signal }, CONTEXT);
      resolve();
    };
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  });
}

/** Secrets as they were given, each of a list, and the passwords within URLs, which drivers write without the rest. */
function secretsIn(given: GivenValues, settings: Settings): string[] {
  const secrets = VARIABLES.filter((variable) => optionOf(variable).secret);
  const asGiven = secrets.flatMap((variable) => given[variable]?.value ?? []);
  const read = settings as unknown as Record<string, string | string[] | undefined>;
  const asRead = secrets.flatMap((variable) => read[settingOf(variable)] ?? []);
  return [...asGiven.map(String), ...asRead, ...asRead.flatMap(passwordIn)];
}

/** A user without a password may be a token. */
function passwordIn(text: string): string[] {
  if (!URL.canParse(text)) return [];
  const { username, password } = new URL(text);
  const secret = password || username;
  return secret ? [secret, percentDecoded(secret)] : [];
}

async function warnAboutOpenDoors(settings: Settings, logger: PinoLogger): Promise<void> {
  const { wantsSignatures } = await import('../signature/index.js');
  if (!wantsSignatures(settings)) {
    logger.warn(
      {
        event: 'signature.off',
        reason: 'no key and no identity is configured: whoever can push to the registry decides what devices run',
      },
      CONTEXT,
    );
  }
  if (settings.cosignInsecureIgnoreTlog || settings.cosignInsecureIgnoreSct) {
    logger.warn(
      { event: 'signature.log_ignored', reason: 'a stolen or mis-issued certificate leaves no trace in a public log' },
      CONTEXT,
    );
  }
  if (settings.webhookSecret === undefined) {
    logger.warn(
      { event: 'webhook.open', reason: 'no WEBHOOK_SECRET: whoever reaches the port may make us ask the registry' },
      CONTEXT,
    );
  }
}
