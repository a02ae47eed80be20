import { expect, it } from '@jest/globals';
import { requestContext } from '../request-context.js';
import { PinoLogger } from './pino-logger.js';

it('gives each line of a request the ids of the request, and no field of the line before', () => {
  const lines: Record<string, unknown>[] = [];
  const write = (text: string): void => void lines.push(JSON.parse(text) as Record<string, unknown>);
  const logger = new PinoLogger({ level: 'info', secrets: [], destination: { write } });
  const context = { requestId: 'r-1', traceId: 't-1' };
  requestContext.run(context, () => {
    logger.warn({ event: 'refresh.failed', device: 'first', reason: 'refused' });
    logger.log({ event: 'release.changed', version: '1.0.0' });
  });
  expect(lines).toMatchObject([
    { event: 'refresh.failed', device: 'first', requestId: 'r-1' },
    { event: 'release.changed', version: '1.0.0', requestId: 'r-1', traceId: 't-1' },
  ]);
  expect(lines[1]).not.toHaveProperty('reason');
  expect(lines[1]).not.toHaveProperty('device');
  expect(Object.keys(context)).toEqual(['requestId', 'traceId']);
});
