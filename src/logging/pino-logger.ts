import type { LoggerService } from '@nestjs/common';
import { pino, stdTimeFunctions, type DestinationStream, type Level, type Logger } from 'pino';
import { requestContext } from '../request-context.js';
import { redactor } from '../redact.js';
import { Repeats } from './repeats.js';

export interface LoggingOptions {
  level: Level;
  /** Values that are removed from every line. */
  secrets: readonly string[];
  /** Destination of lines. Default: standard output. */
  destination?: DestinationStream | undefined;
}

/** Contexts of Nest's own start-up lines, which are logged at level `debug`. */
const FRAMEWORK = new Set([
  ...['NestFactory', 'InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestApplication', 'NestMicroservice'],
]);

/** Nest logs a failed start, and a port that is in use, and also throws it. The caller logs it once. */
const START_FAILED = new Set(['ExceptionHandler', 'NestApplication']);

/** Nest's logger over pino: events with fields, one JSON object per line, or coloured lines for people. */
export class PinoLogger implements LoggerService {
  private readonly pino: Logger;
  private readonly repeats = new Repeats((event, lines) => {
    this.pino.warn({ event: 'log.suppressed', of: event, lines });
  });

  constructor({ level, secrets, destination }: LoggingOptions) {
    const redact = redactor(secrets);
    const options = {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      // A copy, because pino adds the fields of each line to it. Otherwise, the next line of the request would have
      // them, too.
      mixin: () => ({ ...requestContext.getStore() }),
      formatters: { level: (label: string) => ({ level: label }) },
      hooks: {
        // Every line passes here as text, so that secrets within URLs and error messages are removed, too.
        streamWrite: redact,
      },
    };
    this.pino = destination ? pino(options, destination) : pino(options);
  }

  log(message: unknown, ...rest: unknown[]): void {
    const context = contextOf(rest);
    this.write(context !== undefined && FRAMEWORK.has(context) ? 'debug' : 'info', message, rest);
  }

  error(message: unknown, ...rest: unknown[]): void {
    const context = contextOf(rest);
    this.write(context !== undefined && START_FAILED.has(context) ? 'debug' : 'error', message, rest);
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.write('warn', message, rest);
  }

  debug(message: unknown, ...rest: unknown[]): void {
    this.write('debug', message, rest);
  }

  verbose(message: unknown, ...rest: unknown[]): void {
    this.write('trace', message, rest);
  }

  fatal(message: unknown, ...rest: unknown[]): void {
    this.write('fatal', message, rest);
  }

  private write(level: Level, message: unknown, rest: unknown[]): void {
    if (!this.pino.isLevelEnabled(level)) return;
    const context = contextOf(rest);
    const stack = rest.length > 1 && typeof rest[0] === 'string' ? rest[0] : undefined;
    if (typeof message === 'object' && message !== null) {
      if (isRepeated(level) && 'event' in message && !this.repeats.admits(String(message.event))) return;
      const fields = message instanceof Error ? { reason: message.message, stack: message.stack } : message;
      // The messages of libraries help those who debug.
      const hidden = 'cause' in fields && !this.pino.isLevelEnabled('debug') && { cause: undefined };
      this.pino[level]({ context, ...fields, ...(stack !== undefined && { stack }), ...hidden });
    } else this.pino[level]({ context, ...(stack !== undefined && { stack }) }, String(message));
  }
}

/** Nest passes the context as the last parameter. */
function contextOf(rest: unknown[]): string | undefined {
  const last = rest.at(-1);
  return typeof last === 'string' ? last : undefined;
}

/**
 * Returns whether repeated lines of `level` are suppressed: those that alert operators. Lower levels are logged on
 * request.
 */
function isRepeated(level: Level): boolean {
  return level === 'warn' || level === 'error';
}
