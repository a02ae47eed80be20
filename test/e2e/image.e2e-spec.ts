import { describe, expect, it } from '@jest/globals';
import { DockerfileParser } from 'dockerfile-ast';
import { validate } from 'dockerfile-utils';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const text = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
const dockerfile = DockerfileParser.parse(text);
const last = dockerfile.getFROMs().at(-1)!.getRange().start.line;
const inLast = dockerfile.getInstructions().filter((instruction) => instruction.getRange().start.line > last);
const argumentsOf = (keyword: string): string =>
  inLast.find((instruction) => instruction.getKeyword() === keyword)?.getRawArgumentsContent() ?? '';

describe('the Dockerfile', () => {
  it('has nothing to complain of', () => {
    expect(validate(text).map(({ message }) => message)).toEqual([]);
  });

  it('makes an image that runs as nobody in particular, has no npm, and probes itself', () => {
    expect(dockerfile.getFROMs().at(-1)?.getImage()).toContain('distroless');
    expect(argumentsOf('USER')).toBe('65532:65532');
    expect(argumentsOf('ENTRYPOINT')).toBe('["/usr/bin/node", "/app/dist/main.js"]');
    expect(argumentsOf('HEALTHCHECK')).toContain('"/app/dist/main.js", "health"');
    expect(argumentsOf('EXPOSE')).toBe('8080 9090');
    expect(argumentsOf('LABEL')).toContain('org.opencontainers.image.source');
    expect(inLast.filter((instruction) => instruction.getKeyword() === 'RUN')).toEqual([]);
  });

  it('copies what is there, and .dockerignore lets it', () => {
    const allowed = readFileSync(join(ROOT, '.dockerignore'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copied = dockerfile
      .getCOPYs()
      .filter((copy) => copy.getFlags().length === 0)
      .flatMap((copy) => copy.getArguments().slice(0, -1))
      .map((argument) => argument.getValue());
    expect(copied.length).toBeGreaterThan(5);
    for (const path of copied) {
      expect(existsSync(join(ROOT, path))).toBe(true);
      expect(allowed).toContain(path);
    }
  });
});
