import 'reflect-metadata';
import type { OwnParts } from '../app.module.js';
import { isLoopback, optionOf, settingOf, VARIABLES, type GivenValues, type Settings } from '../config/index.js';
import { ConfigError, explained } from '../errors.js';
import { createLogger, type PinoLogger } from '../logging/index.js';
import { percentDecoded } from '../percent.js';
import { Service } from '../service.js';
import { wantsSignatures } from '../signature/index.js';
import { after } from '../timers.js';
import { packageVersion } from '../version.js';
import { startWarnings } from './warnings.js';

const CONTEXT = 'OtaFlux';
/** After the end, for whatever still has to end by itself. */
const LINGER_MS = 1_000;
/** What a shell reports of a process that a signal ended. */
const EXIT_BY_SIGNAL = { SIGINT: 130, SIGTERM: 143 } as const;

export interface Start {
  /** The options as they were written. */
  readonly given: GivenValues;
  readonly settings: Settings;
  /** What plug-ins bring. */
  readonly parts: OwnParts;
  /** When the command began, on the clock of `performance.now()`. */
  readonly startedMs: number;
}

/** Serves until a signal comes; resolves when the last download has ended, or SHUTDOWN_GRACE has. */
export async function serve({ given, settings, parts, startedMs }: Start): Promise<void> {
  const logger = await createLogger({
    level: settings.logLevel,
    format: settings.logFormat ?? (process.stdout.isTTY ? 'pretty' : 'json'),
    secrets: secretsIn(given, settings),
  });
  const service = await started(given, settings, logger, parts);
  for (const warning of startWarnings(settings, process.env)) logger.warn(warning, CONTEXT);
  warnAboutOpenDoors(settings, logger);
  // Whoever reads that the server is ready may end it at once.
  const ending = untilSignal(logger);
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
  await ending;
  await service.stop();
  logger.log({ event: 'server.stopped' }, CONTEXT);
  // A driver whose connection never came about may leave its socket behind (nats.js does).
  after(LINGER_MS, () => process.exit(process.exitCode ?? 0), { background: true });
}

async function started(given: GivenValues, settings: Settings, logger: PinoLogger, parts: OwnParts): Promise<Service> {
  try {
    return await Service.start({ given, settings, logger, ...parts });
  } catch (error) {
    if (!(error instanceof ConfigError)) logger.fatal({ event: 'server.failed', ...explained(error) }, CONTEXT);
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
  return [...[...asGiven.map(String), ...asRead].filter(mayHoldSecret), ...asRead.flatMap(passwordIn)];
}

/** An address alone holds no secret, and messages about failures name it. */
function mayHoldSecret(text: string): boolean {
  return !/^[a-z+]+:\/\/[A-Za-z0-9.:[\]-]+\/?$/.test(text);
}

/** A user without a password may be a token. */
function passwordIn(text: string): string[] {
  if (!URL.canParse(text)) return [];
  const { username, password } = new URL(text);
  const secret = password || username;
  return secret ? [secret, percentDecoded(secret)] : [];
}

function warnAboutOpenDoors(settings: Settings, logger: PinoLogger): void {
  if (!wantsSignatures(settings)) {
    logger.warn(
      {
        event: 'signature.off',
        reason:
          'signatures are not verified: everyone who can push to the registry decides what devices run. Set COSIGN_PUB_KEY_PATH, COSIGN_CERTIFICATE_IDENTITY or SIGNATURE_POLICY',
      },
      CONTEXT,
    );
  }
  if (settings.cosignInsecureIgnoreTlog || settings.cosignInsecureIgnoreSct) {
    logger.warn(
      {
        event: 'signature.log_ignored',
        reason:
          'signatures without an entry in a public log are accepted: a stolen certificate leaves no trace. Use this option in private deployments only',
      },
      CONTEXT,
    );
  }
  const { host, port } = settings.metricsListenAddr;
  if (settings.managementToken === undefined && !isLoopback(host)) {
    logger.warn(
      {
        event: 'management.open',
        reason: `MANAGEMENT_TOKEN is not set: everyone who can reach ${host}:${port} can read /status and use /notify. Set it, or METRICS_LISTEN_ADDR to 127.0.0.1:${port}`,
      },
      CONTEXT,
    );
  }
  // A list of nothing is no secret.
  if (!settings.webhookSecret?.length) {
    logger.warn(
      {
        event: 'webhook.open',
        reason:
          'WEBHOOK_SECRET is not set: everyone who can reach the port can make the server ask the registry. Set it',
      },
      CONTEXT,
    );
  }
}
