import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, OtaError, reasonOf } from '../../errors.js';
import { publish, readPlan, type ChangeOptions, EXIT_DONE } from './change-plan.js';
import { checkedPlan, FaultyPlan } from './checked-plan.js';
import type { PlanContext } from './plan-context.js';
import { PlanDocument } from './plan-document.js';

/** Lines that tell the editor's user what to do. They are removed from what is saved. */
const MARK = '#! ';
const HINT = [
  'Save and close the file to push the plan. The serial is raised for you.',
  'Nothing is pushed if the plan is unchanged or the file is empty.',
];

/** Opens the plan in an editor until it is right, and pushes it. Resolves to the exit code. */
export async function editPlan(context: PlanContext, options: ChangeOptions): Promise<number> {
  const signer = await context.signer(options);
  if (!options.dryRun) await context.prepare();
  const before = await readPlan(context, undefined);
  const edited = await edit(context, before.text);
  if (edited === undefined) {
    process.stdout.write('The plan is unchanged. Nothing was pushed.\n');
    return EXIT_DONE;
  }
  const plan = new PlanDocument(edited);
  plan.setSerial(new PlanDocument(before.text).serial + 1);
  const change = { before, after: plan.toString(), serial: plan.serial, notes: [], signer };
  try {
    return await publish(context, options, change);
  } catch (error) {
    throw await kept(error, edited);
  }
}

/** Returns the plan that was saved without errors. Undefined if it is unchanged or empty. */
async function edit(context: PlanContext, original: string): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'otaflux-plan-'));
  const file = join(folder, `${context.product.replaceAll('/', '-')}.yaml`);
  try {
    let text = original;
    let problems: readonly string[] = [];
    for (;;) {
      await writeFile(file, withMarks(text, problems), { mode: 0o600 });
      await openEditor(file);
      const saved = withoutMarks(await readFile(file, 'utf8'));
      if (saved.trim() === '' || saved === withoutMarks(original)) return undefined;
      // Saving the same mistake again means that the user gives up, as in kubectl edit.
      if (problems.length > 0 && saved === text) throw await kept(new FaultyPlan(problems), saved);
      problems = await problemsOf(saved, context.product);
      if (problems.length === 0) return saved;
      text = saved;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function problemsOf(text: string, product: string): Promise<readonly string[]> {
  try {
    // A new plan gets its first serial afterwards.
    await checkedPlan(text.replace(/^serial: 0$/m, 'serial: 1'), product);
    return [];
  } catch (error) {
    if (error instanceof FaultyPlan) return error.problems;
    throw error;
  }
}

/** The lines stand at the end, so that the numbers of lines in problems are right. */
function withMarks(text: string, problems: readonly string[]): string {
  const lines = problems.length === 0 ? HINT : ['The plan has errors, and was not pushed:', ...problems, ...HINT];
  return `${text.replace(/\n*$/, '\n')}${lines.map((line) => `${MARK}${line}\n`).join('')}`;
}

function withoutMarks(text: string): string {
  const lines = text.split('\n').filter((line) => !line.startsWith(MARK));
  return lines.join('\n').replace(/\n*$/, '\n');
}

/** Waits for the editor. Its value may have arguments, as in `code --wait`, so a shell reads it. */
async function openEditor(file: string): Promise<void> {
  const editor = process.env.VISUAL || process.env.EDITOR || 'vi';
  const child = spawn('/bin/sh', ['-c', `${editor} "$1"`, 'sh', file], { stdio: 'inherit' });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  }).catch((error: unknown) => {
    throw new ConfigError(`EDITOR: ${editor} cannot be run: ${reasonOf(error)}. Set EDITOR`);
  });
  if (code !== 0) throw new ConfigError(`EDITOR: ${editor} ended with code ${code ?? 'none'}, so nothing was pushed`);
}

/** What was typed must not be lost with an error. */
async function kept(error: unknown, text: string): Promise<unknown> {
  if (!(error instanceof OtaError)) return error;
  const folder = await mkdtemp(join(tmpdir(), 'otaflux-plan-'));
  const file = join(folder, 'plan.yaml');
  await writeFile(file, text, { mode: 0o600 });
  return new OtaError(error.code, `${error.message}. Your text is in ${file}`, { cause: error });
}
