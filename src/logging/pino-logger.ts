import type { LoggerService } from '@nestjs/common';
import { pino, stdTimeFunctions, type DestinationStream, type Level, type Logger } from 'pino';
import { requestContext } from '../request-context.js';
import { redactor } from '../redact.js';
import { Repeats } from './repeats.js';

export interface LoggingOptions {
  level: Level;
  /** Values that must never be written, wherever they stand. */
  secrets: readonly string[];
  /** Where lines go; standard output by default. */
  destination?: DestinationStream | undefined;
}

/** What Nest says of its own start is detail. */
const FRAMEWORK = new Set(['NestFactory', 'InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestApplication']);

/** Nest logs a start that fails, and a port that is in use, and throws it as well: whoever catches it says it once. */
const START_FAILED = new Set(['ExceptionHandler', 'NestApplication']);

/** Nest's logger over pino: events with fields, one JSON object a line, or coloured lines for people. */
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
      // A copy: pino writes the fields of each line into it, and the next line of the request would have them, too.
      mixin: () => ({ ...requestContext.getStore() }),
      formatters: { level: (label: string) => ({ level: label }) },
      hooks: {
        // Every line passes here once it is text: a secret inside of a URL or an error's message goes, too.
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
      // The texts of libraries say more to those who debug, and less to everybody else.
      const hidden = 'cause' in fields && !this.pino.isLevelEnabled('debug') && { cause: undefined };
      this.pino[level]({ context, ...fields, ...(stack !== undefined && { stack }), ...hidden });
    } else this.pino[level]({ context, ...(stack !== undefined && { stack }) }, String(message));
  }
}

/** Nest hands the context over as the last parameter. */
function contextOf(rest: unknown[]): string | undefined {
  const last = rest.at(-1);
  return typeof last === 'string' ? last : undefined;
}

/** Only what an operator is woken by repeats harmfully: detail was asked for. */
function isRepeated(level: Level): boolean {
  return level === 'warn' || level === 'error';
}
