export { createLogger } from './create-logger.js';
export { PinoLogger, type LoggingOptions } from './pino-logger.js';
export { redactor } from '../redact.js';
