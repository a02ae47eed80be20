import { describe, expect, it } from '@jest/globals';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { z } from 'zod';
import { ConfigError, explained, ExplainedError, OtaError, reasonOf } from './errors.js';

/** What `work` throws. */
async function thrownBy(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error('it threw nothing');
}

describe('the reason of an error', () => {
  it('translates the codes of the system, and keeps their texts for debugging', async () => {
    const folder = mkdtempSync(`${tmpdir()}/otaflux-errors-`);
    const missing = await thrownBy(() => readFile(`${folder}/nope`));
    expect(reasonOf(missing)).toBe('no such file or directory');
    expect(explained(missing)).toEqual({
      reason: `no such file or directory: ${folder}/nope`,
      cause: `ENOENT: no such file or directory, open '${folder}/nope'`,
    });
    expect(reasonOf(await thrownBy(() => readFileSync(folder)))).toBe('it is a directory, not a file');
    rmSync(folder, { recursive: true });
  });

  it('translates what a library wraps', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED' });
    expect(reasonOf(Object.assign(new Error('odd'), { code: 'UND_ERR_ODD', cause: refused }))).toBe(
      'connection refused',
    );
    expect(reasonOf(new TypeError('fetch failed', { cause: refused }))).toBe('fetch failed: connection refused');
    expect(reasonOf(new Error('cannot reach x: connection refused', { cause: refused }))).toBe(
      'cannot reach x: connection refused',
    );
    const tls = Object.assign(new Error('C0:error:0A00010B:SSL routines::odd'), { code: 'ERR_SSL_SOMETHING_NEW' });
    expect(reasonOf(tls)).toBe('the TLS handshake failed');
  });

  it('says of JSON and of schemas what a person can act on', async () => {
    expect(reasonOf(await thrownBy(() => JSON.parse('{"secret":')))).toBe('it is not valid JSON');
    expect(reasonOf(await thrownBy(() => JSON.parse('secret')))).toBe('it is not valid JSON');
    const schema = z.strictObject({ a: z.object({ b: z.number().max(5) }), kind: z.literal('x') });
    const problems: [unknown, string][] = [
      [{ a: { b: '1' }, kind: 'x' }, 'a.b: expected a number'],
      [{ kind: 'x' }, 'a: it is missing'],
      [{ a: { b: 1 }, kind: 'y' }, 'kind: expected "x"'],
      [{ a: { b: 9 }, kind: 'x' }, 'a.b: it is too large or too long'],
      [{ a: { b: 1 }, kind: 'x', c: 1 }, 'unknown key "c"'],
    ];
    for (const [value, problem] of problems) expect(reasonOf(await thrownBy(() => schema.parse(value)))).toBe(problem);
  });

  it('is the message alone of errors of ours, in one line', () => {
    const cause = new Error('library');
    for (const error of [
      new OtaError('protocol', 'what is wrong.\n  Do this', { cause }),
      new ConfigError('what is wrong.\n  Do this', { cause }),
      new ExplainedError('what is wrong.\n  Do this', { cause }),
    ]) {
      expect(reasonOf(error)).toBe('what is wrong. Do this');
      expect(explained(error)).toEqual({ reason: 'what is wrong. Do this', cause: 'library' });
    }
    expect(reasonOf(new DOMException('timed out after 5 ms', 'TimeoutError'))).toBe('timed out after 5 ms');
    expect(reasonOf('text')).toBe('text');
  });
});
