import { describe, expect, it } from '@jest/globals';
import type { EventMessage } from './event-message.js';
import { Intake, MAX_MESSAGE_BYTES, type EventResult } from './intake.js';

const message = (bytes: number): EventMessage => ({ topic: 'x', payload: Buffer.alloc(bytes) }) as EventMessage;

describe('the messages that wait for their handlers', () => {
  it.each([
    [1, 1_000],
    [MAX_MESSAGE_BYTES, 16],
  ])('of %d bytes are at most %d, whatever a broker sends', async (bytes, most) => {
    const release: (() => void)[] = [];
    const intake = new Intake(
      () =>
        new Promise<EventResult>((resolve) => {
          release.push(() => {
            resolve('handled');
          });
        }),
    );
    const results = Array.from({ length: 1_200 }, () => intake.take(message(bytes)));
    expect(intake.isFull).toBe(true);
    expect(intake.depth).toBe(most);
    expect(await Promise.race([results.at(-1), Promise.resolve('waits')])).toBe('dropped');
    intake.end();
    for (const end of release) end();
    const ended = await Promise.all(results);
    expect(ended.filter((result) => result === 'handled')).toHaveLength(release.length);
    expect(ended.filter((result) => result === 'dropped')).toHaveLength(1_200 - release.length);
  });
});
