import { textOf, type Why } from '../../control/why.js';
import { ask, EXIT_NOT_ASKED, refuse, type ControlledServer } from '../server-request.js';
import type { WhyOptions } from './why-options.js';

/** Prints what a server decides for a unit. Resolves to the exit code. */
export async function why(server: ControlledServer, product: string, options: WhyOptions): Promise<number> {
  const { unit, at, running, hardware, channel } = options;
  const query = Object.entries({ product, unit, at: at && new Date(at).toISOString(), running, hardware, channel });
  const given = query.filter((entry): entry is [string, string] => entry[1] !== undefined);
  const answer = await ask(server, 'GET', 'why', Object.fromEntries(given));
  if (!answer) return EXIT_NOT_ASKED;
  if (answer.code !== 200) return refuse(server, answer);
  process.stdout.write(options.json ? `${answer.body}\n` : textOf(JSON.parse(answer.body) as Why));
  return 0;
}
