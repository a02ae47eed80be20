import { PinoLogger, type LoggingOptions } from './pino-logger.js';

/** A logger to standard output. What makes lines pretty is loaded only for people. */
export async function createLogger({
  format,
  ...options
}: Omit<LoggingOptions, 'destination'> & { format: 'json' | 'pretty' }): Promise<PinoLogger> {
  if (format === 'json') return new PinoLogger(options);
  const { default: pretty } = await import('pino-pretty');
  const messageFormat = '{if context}{context}: {end}{if event}{event} {end}{msg}';
  return new PinoLogger({ ...options, destination: pretty({ sync: true, messageFormat, ignore: 'context,event' }) });
}
