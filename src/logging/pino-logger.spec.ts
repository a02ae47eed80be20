import { expect, it } from '@jest/globals';
import { explained } from '../errors.js';
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

it.each([
  ['info', undefined],
  ['debug', 'connect ECONNREFUSED 127.0.0.1:1'],
] as const)('at level %s, writes as the cause of a failure: %s', (level, cause) => {
  const lines: Record<string, unknown>[] = [];
  const write = (text: string): void => void lines.push(JSON.parse(text) as Record<string, unknown>);
  const logger = new PinoLogger({ level, secrets: [], destination: { write } });
  const error = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' });
  logger.warn({ event: 'refresh.failed', ...explained(error) }, 'Test');
  expect(lines[0]).toMatchObject({ reason: 'connection refused', context: 'Test' });
  expect(lines[0]?.cause).toBe(cause);
});
