import { stripVTControlCharacters } from 'node:util';

/** What a block says that its commands print: comments on lines of their own. `…` stands for anything. */
export function promisesOf(script: string): string[] {
  return script
    .split('\n')
    .filter((line) => line.startsWith('# '))
    .map((line) => line.slice(2));
}

/** Matches an output that contains `text` in whole lines. `…` stands for anything within a line, or, alone on a line, for any lines. */
export function shows(text: string): { asymmetricMatch(output: unknown): boolean; toString(): string } {
  const lines = text.trimEnd().split('\n');
  const pattern = lines
    .map((line) => (line.trim() === '…' ? '(?:.*\\n)*?' : `${line.split('…').map(quoted).join('.*')}[ ]*(?:\\n|$)`))
    .join('');
  const expression = new RegExp(`(?:^|\\n)${pattern}`);
  return {
    asymmetricMatch: (output) => expression.test(stripVTControlCharacters(String(output)).replaceAll('\r', '\n')),
    toString: () => `text that shows ${JSON.stringify(text)}`,
  };
}

function quoted(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
