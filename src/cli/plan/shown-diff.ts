import { styleText } from 'node:util';

/** The lines of a diff, on a terminal in the colours of git. */
export function colouredDiff(lines: readonly string[], isColourful: boolean): string[] {
  if (!isColourful) return [...lines];
  return lines.map((line) => {
    if (line.startsWith('+')) return styleText('green', line);
    if (line.startsWith('-')) return styleText('red', line);
    return line.startsWith('@@') ? styleText('cyan', line) : line;
  });
}
