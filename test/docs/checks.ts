import type { Block } from './page.js';
import { nginxProblems } from './nginx.js';
import { inFile, outcomeOf } from './programs.js';
import { isShell, shellProblems } from './shell.js';
import { scriptProblems } from './typescript.js';
import { yamlProblems } from './yaml.js';

/** What is wrong with a block, whether it runs or not. A language that nobody checks needs a mark. */
export async function problemsOf({ language, text, mark }: Block): Promise<string[]> {
  if (isShell(language)) return shellProblems(text);
  switch (language) {
    case 'yaml':
    case 'yml':
      return yamlProblems(text);
    case 'json':
      return jsonProblems(text);
    case 'ts':
    case 'typescript':
    case 'js':
    case 'javascript':
      return mark?.kind === 'not-run' ? [] : scriptProblems(text);
    case 'python':
      return inFile('block.py', text, (path) => outcomeOf('python3', ['-m', 'py_compile', path]));
    case 'nginx':
      return nginxProblems(text);
    case '':
    case 'text':
    case 'mermaid':
      return [];
    default:
      return mark === undefined ? [`nobody checks ${language}: say where it is checked, or why it is not`] : [];
  }
}

function jsonProblems(text: string): string[] {
  try {
    JSON.parse(text);
    return [];
  } catch (error) {
    return [String(error)];
  }
}
