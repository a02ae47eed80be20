import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const text = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');

interface Instruction {
  readonly keyword: string;
  readonly content: string;
}

/** The instructions of a Dockerfile, with continued lines joined. `hadolint` checks in CI that it is well-formed. */
const instructions = text
  .replaceAll(/^#.*\n/gm, '')
  .replaceAll(/\\\n\s*/g, '')
  .split('\n')
  .filter(Boolean)
  .map((line): Instruction => {
    const [, keyword = '', content = ''] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    return { keyword, content };
  });
const named = (keyword: string, among = instructions): string[] =>
  among.filter((instruction) => instruction.keyword === keyword).map(({ content }) => content);
const lastStage = instructions.slice(instructions.findLastIndex(({ keyword }) => keyword === 'FROM'));
const argumentsOf = (keyword: string): string => named(keyword, lastStage)[0] ?? '';

describe('the Dockerfile', () => {
  it('makes an image that runs as nobody in particular, has no npm, and probes itself', () => {
    expect(argumentsOf('FROM')).toContain('distroless');
    expect(argumentsOf('USER')).toBe('65532:65532');
    expect(argumentsOf('ENTRYPOINT')).toBe('["/usr/local/bin/otaflux"]');
    expect(argumentsOf('HEALTHCHECK')).toContain('"/usr/local/bin/otaflux", "health"');
    expect(argumentsOf('EXPOSE')).toBe('8080 9090');
    // The default is for a process on a host: loopback.
    expect(argumentsOf('ENV').split(' ')).toContain('METRICS_LISTEN_ADDR=0.0.0.0:9090');
    expect(argumentsOf('LABEL')).toContain('org.opencontainers.image.source');
    expect(named('RUN', lastStage)).toEqual([]);
  });

  it('copies what is there, and .dockerignore lets it', () => {
    const allowed = readFileSync(join(ROOT, '.dockerignore'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copied = named('COPY')
      .filter((content) => !content.startsWith('--'))
      .flatMap((content) => content.split(/\s+/).slice(0, -1));
    expect(copied.length).toBeGreaterThan(5);
    for (const path of copied) {
      expect(existsSync(join(ROOT, path))).toBe(true);
      expect(allowed).toContain(path);
    }
  });
});
