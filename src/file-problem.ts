import { codeOf, reasonOf } from './errors.js';

/** What is wrong with a file that cannot be written, and what to do. */
export function writeProblem(error: unknown): string {
  const advice = writeAdviceFor(codeOf(error));
  return advice === undefined ? reasonOf(error) : `${reasonOf(error)}. ${advice}`;
}

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
      return `Let ${thisUser()} read it`;
    case 'EISDIR':
      return 'Name a file';
    default:
      return undefined;
  }
}

function writeAdviceFor(code: string | undefined): string | undefined {
  switch (code) {
    case 'ENOENT':
      return 'Create its folder first, or check the path';
    case 'ENOTDIR':
      return 'Check the path';
    case 'EACCES':
    case 'EPERM':
      return `Let ${thisUser()} write to it, for example with chown`;
    case 'EROFS':
      return 'Mount it for writing, or choose another place';
    case 'ENOSPC':
    case 'EDQUOT':
      return 'Delete something, or choose another place';
    case 'EISDIR':
      return 'Name a file';
    default:
      return undefined;
  }
}

/** Files and volumes often belong to another user than the one that runs the server. */
function thisUser(): string {
  return process.getuid === undefined ? 'the user of the server' : `user ${process.getuid()}`;
}
