import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Builds once: the tests of the command line run what users run. */
export default function globalSetup() {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  execFileSync(process.execPath, ['node_modules/@nestjs/cli/bin/nest.js', 'build'], { cwd: root, stdio: 'inherit' });
}
