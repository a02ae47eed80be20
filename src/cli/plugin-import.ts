import { spawnSync } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { types } from 'node:util';
import { codeOf, reasonOf } from '../errors.js';

/** Node.js parses a file in far less. */
const CHECK_MS = 10_000;

/** Returns what to do about a module that Node.js does not load. */
export function problemOfImport(error: unknown, url: string): string {
  const code = codeOf(error) ?? '';
  const text = reasonOf(error);
  if (
    /\.[cm]?ts$/.test(new URL(url).pathname) &&
    (code === 'ERR_UNKNOWN_FILE_EXTENSION' || code.includes('TYPESCRIPT'))
  )
    return 'Node.js does not run this TypeScript file. Compile it with tsc, and name the .js file';
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION')
    return `Node.js does not run ${extname(new URL(url).pathname)} files, expected .mjs, .js or .cjs`;
  if (code === 'ERR_IMPORT_ATTRIBUTE_MISSING' || code === 'ERR_IMPORT_ASSERTION_TYPE_MISSING')
    return 'it is a JSON file, expected a module in JavaScript: .mjs, .js or .cjs';
  if (code === 'ERR_UNSUPPORTED_DIR_IMPORT') return 'it is a directory, expected a file, such as index.mjs in it';
  if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND')
    return `${text}. Install what the plug-in imports beside it (npm install)`;
  if (/Unexpected token 'export'|Cannot use import statement/.test(text))
    return 'it is an ES module in a file that Node.js reads as CommonJS. Name it .mjs, or set "type": "module" in its package.json';
  if (/(?:require|module|exports) is not defined in ES module scope/.test(text))
    return 'it is CommonJS in a file that Node.js reads as an ES module. Name it .cjs, or use import and export';
  if (types.isNativeError(error) && error.name === 'SyntaxError') return syntaxProblem(text, url);
  return text;
}

/** Returns a syntax error with its place, which the error of an ES module does not have. */
function syntaxProblem(text: string, url: string): string {
  const { stderr } = spawnSync(process.execPath, ['--check', fileURLToPath(url)], {
    encoding: 'utf8',
    timeout: CHECK_MS,
  });
  const line = /^(?:file:\/\/)?\S.*:(\d+)$/m.exec(stderr)?.[1];
  return line === undefined
    ? `${text}, in a module that it imports. Run node ${fileURLToPath(url)} to see where`
    : `line ${line}: ${text}. Correct the syntax`;
}
