/** Lines of cells, the first of them the head, in columns as wide as their widest cell. */
export function tableOf(lines: readonly (readonly string[])[]): string[] {
  const widths = lines[0]?.map((_cell, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
  return lines.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** Whether standard output is for people who like colours (https://no-color.org). */
export const isColourful = (): boolean => process.stdout.isTTY && !process.env.NO_COLOR;
