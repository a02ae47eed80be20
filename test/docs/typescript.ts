import { join } from 'node:path';
import ts from 'typescript';
import { ROOT } from './page.js';

/** In this folder, so that imports are found as from a project that has the package. */
const FILE = join(ROOT, 'documentation.mts');

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  strict: true,
  // JavaScript has no types to leave out.
  noImplicitAny: false,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  skipLibCheck: true,
  noEmit: true,
  types: ['node'],
};

const disk = ts.createCompilerHost(OPTIONS);
const declarations = new Map<string, ts.SourceFile | undefined>();

/** A file of the packages, read and parsed once for all blocks. */
function declarationsIn(
  name: string,
  ...rest: [ts.ScriptTarget | ts.CreateSourceFileOptions]
): ts.SourceFile | undefined {
  if (!declarations.has(name)) declarations.set(name, disk.getSourceFile(name, ...rest));
  return declarations.get(name);
}

/** What the compiler says of a module: a reader copies it as it is, so it imports all that it uses. */
export function scriptProblems(text: string): string[] {
  const host: ts.CompilerHost = {
    ...disk,
    fileExists: (name) => name === FILE || disk.fileExists(name),
    readFile: (name) => (name === FILE ? text : disk.readFile(name)),
    getSourceFile: (name, options) =>
      name === FILE ? ts.createSourceFile(FILE, text, options, true) : declarationsIn(name, options),
  };
  const program = ts.createProgram([FILE], OPTIONS, host);
  return ts
    .getPreEmitDiagnostics(program)
    .filter(({ file }) => file === undefined || file.fileName === FILE)
    .map(({ messageText, start = 0 }) => {
      const line = text.slice(0, start).split('\n').length;
      return `line ${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    });
}
