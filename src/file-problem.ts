import { codeOf, reasonOf } from './errors.js';

/** What is wrong with a file that cannot be read, and what to do: `permission denied. Let user 1000 read it`. */
export function fileProblem(error: unknown): string {
  const advice = adviceFor(codeOf(error));
  return advice === undefined ? reasonOf(error) : `${reasonOf(error)}. ${advice}`;
}

function adviceFor(code: string | undefined): string | undefined {
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'Check the path';
    case 'EACCES':
    case 'EPERM':
      return `Let ${process.getuid === undefined ? 'the user of the server' : `user ${process.getuid()}`} read it`;
    case 'EISDIR':
      return 'Name a file';
    default:
      return undefined;
  }
}
