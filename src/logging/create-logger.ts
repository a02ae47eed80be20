import { PinoLogger, type LoggingOptions } from './pino-logger.js';

/** Returns a logger to standard output. The code for pretty lines is only loaded if they are used. */
export async function createLogger({
  format,
  ...options
}: Omit<LoggingOptions, 'destination'> & { format: 'json' | 'pretty' }): Promise<PinoLogger> {
  if (format === 'json') return new PinoLogger(options);
  const { default: pretty } = await import('pino-pretty');
  const messageFormat = '{if context}{context}: {end}{if event}{event} {end}{msg}';
  return new PinoLogger({ ...options, destination: pretty({ sync: true, messageFormat, ignore: 'context,event' }) });
}
