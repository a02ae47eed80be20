import { describe, expect, it } from '@jest/globals';
import { ConfigError } from '../errors.js';
import { loadDriver } from './driver.js';

describe('loadDriver', () => {
  it('names the package to install where it is missing', async () => {
    const missing = 'no-such-driver';
    const load = (): Promise<unknown> => import(missing);
    await expect(loadDriver({ variable: 'NOTIFY', scheme: 'redis' }, missing, load)).rejects.toThrow(
      new ConfigError('NOTIFY: redis:// needs the package no-such-driver: run npm install no-such-driver'),
    );
  });

  it('hides no other failure', async () => {
    const load = (): Promise<unknown> => Promise.reject(new Error('broken'));
    await expect(loadDriver({ variable: 'NOTIFY', scheme: 'redis' }, 'ioredis', load)).rejects.toThrow('broken');
  });
});
