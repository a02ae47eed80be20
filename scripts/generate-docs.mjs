/**
 * Writes docs/configuration.md and config/otaflux.yaml from the option table, the tables of docs/troubleshooting.md from the
 * list of messages, the README and the schema of the chart from
 * the comments of its values, the schema and the reference of plans, and the chart's copy of the dashboard (`npm run docs`).
 * With `--check` it writes nothing and fails when they are not current.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { chartReadme } from './chart-readme.mjs';
import { planPage, planSchemaText } from './plan-docs.mjs';
import { mathsPage } from './rollout-maths.mjs';
import { troubleshooting } from './troubleshooting.mjs';
import { valuesChecks } from './values-checks.mjs';
import { valuesSchema } from './values-schema.mjs';
import { createProgram } from '../dist/cli/program.js';
import { configurationFile } from '../dist/cli/configuration-file.js';
import { flagOf, optionOf, VARIABLES } from '../dist/config/index.js';

const target = (path) => new URL(`../${path}`, import.meta.url);

/** Options under their headings; a heading holds for the options that follow, too. */
function sections() {
  const found = [];
  for (const variable of VARIABLES) {
    const option = optionOf(variable);
    if (option.section) found.push({ title: option.section, variables: [] });
    found.at(-1).variables.push({ variable, option });
  }
  return found;
}

const cell = (text) => text.replaceAll('|', '\\|');

function defaultOf({ default: value, required }) {
  if (required) return 'required';
  return value ? `\`${value}\`` : 'none';
}

function row({ variable, option }) {
  const notes = option.secret
    ? `${option.help} Secret: \`${variable}_FILE\` can name a file that holds it.`
    : option.help;
  return `| \`--${flagOf(variable)}\`<br>\`${variable}\` | ${cell(notes)} | ${cell(option.kind.takes)} | ${defaultOf(option)} |`;
}

function markdown() {
  const tables = sections().map(
    ({ title, variables }) =>
      `## ${title}\n\n| flag, variable | meaning | value | default |\n| --- | --- | --- | --- |\n${variables.map(row).join('\n')}\n`,
  );
  return `# Configuration

<!-- Generated from src/config/options.ts by \`npm run docs\`. -->

Give an option as a flag, as an environment variable, or as a key in a YAML file:

<!-- not run: three ways to set the same option, each without the others that a server needs -->

\`\`\`sh
otaflux --refresh-interval 1m
REFRESH_INTERVAL=1m otaflux
otaflux --config otaflux.yaml      # refresh-interval: 1m
\`\`\`

\`--config\`, or the variable \`CONFIG\`, is the path of such a file. Its keys are the flags without
dashes in front. [config/otaflux.yaml](../config/otaflux.yaml) lists all of them.

If an option is given in several ways, the flag has priority over the variable, and the variable over the file. An empty
variable is ignored.

- A **duration** is written as \`500ms\`, \`30s\`, \`5m\`, \`1h30m\` or \`7d\`.
- A **size** is written as \`512MiB\`, \`4GiB\`, \`100MB\` or a number of bytes.
- A **boolean** is \`--x\`, \`--x=false\` or \`--no-x\` as a flag. As a variable or in the file it is \`true\`, \`false\`, \`1\`,
  \`0\`, \`yes\` or \`no\`.
- A **list** is separated by commas. In the file it can be a YAML list.
- A **secret** can be in a file of its own: \`REGISTRY_PASSWORD_FILE=/run/secrets/password\`, \`--registry-password-file\`,
  or \`registry-password-file\` in the YAML file. Secrets are never logged or printed.

If a value is wrong, or a flag or a key is unknown, the server does not start: it prints one line with the option, the
value and what was expected, and exits with code 2. \`otaflux help serve\` prints the options in the terminal.

${tables.join('\n')}`;
}

/** What `docs/cli.md` says below its own text: every command, as its `--help` does. */
const REFERENCE = '<!-- Generated from the commands in src/cli by `npm run docs`: everything below this line. -->';

function cli(page) {
  const [own] = page.split(REFERENCE);
  const commands = createProgram({ defaults: true })
    .commands.flatMap((command) => [command, ...command.commands])
    .map(reference);
  return `${own}${REFERENCE}\n\n## Reference\n\n${commands.join('\n')}`;
}

function reference(command) {
  const name = command.parent?.parent ? `${command.parent.name()} ${command.name()}` : command.name();
  const own = command.options.filter(({ helpGroupHeading, hidden }) => !helpGroupHeading && !hidden);
  const sections = [...new Set(command.options.flatMap(({ helpGroupHeading }) => helpGroupHeading ?? []))];
  const items = [
    ...command.registeredArguments.map((argument) => `- \`${argument.name()}\`: ${argument.description}`),
    ...own.map(({ flags, description }) => `- \`${flags}\`: ${description}`),
  ];
  const shared = sections.map((heading) => heading.replace(/:$/, ''));
  const links = shared.map((title) => `[${title}](configuration.md#${title.toLowerCase()})`);
  if (links.length > 0) items.push(`- The options in ${links.join(', ')}${isWhole(command) ? '' : ' that it needs'}`);
  const examples = command.examples.map(({ does, call }) => `# ${does}\n${call}`).join('\n\n');
  const codes = Object.entries(command.exitCodes).map(([code, meaning]) => `- Exit code ${code}: ${meaning}`);
  return [
    `### ${name}`,
    `Usage: \`otaflux ${name} ${command.usage()}\``,
    command.description().replaceAll('<', '\\<'),
    items.join('\n'),
    `<!-- not run here: examples with names of their own -->\n\n\`\`\`sh\n${examples}\n\`\`\``,
    codes.join('\n'),
    '',
  ]
    .join('\n\n')
    .replaceAll(/\n{3,}/g, '\n\n')
    .replace(/\n\n$/, '\n');
}

const isWhole = (command) =>
  VARIABLES.every((name) => command.options.some(({ long }) => long === `--${flagOf(name)}`));

function yaml() {
  const head = `# Every option of OtaFlux, with its default. Generated from src/config/options.ts by \`npm run docs\`.
# Use it with \`otaflux --config otaflux.yaml\`. Flags and environment variables have priority over it.
`;
  return configurationFile(head, VARIABLES);
}

const values = readFileSync(target('helm/otaflux/values.yaml'), 'utf8');

let stale = 0;
for (const [path, content] of [
  ['docs/configuration.md', markdown()],
  ['docs/troubleshooting.md', await troubleshooting()],
  ['config/otaflux.yaml', yaml()],
  ['config/otaflux-plan.schema.json', planSchemaText()],
  ['docs/plan.md', planPage(readFileSync(target('docs/plan.md'), 'utf8'))],
  ['docs/rollout-maths.md', mathsPage(readFileSync(target('docs/rollout-maths.md'), 'utf8'))],
  ['docs/cli.md', cli(readFileSync(target('docs/cli.md'), 'utf8'))],
  ['helm/otaflux/values.schema.json', valuesSchema(values, { variables: VARIABLES, optionOf, flagOf })],
  ['helm/otaflux/files/checks.json', valuesChecks({ variables: VARIABLES, optionOf, flagOf })],
  ['helm/otaflux/README.md', chartReadme(values)],
  ['helm/otaflux/files/dashboard.json', readFileSync(target('config/grafana/otaflux.json'), 'utf8')],
]) {
  if (!process.argv.includes('--check')) {
    writeFileSync(target(path), content);
    continue;
  }
  const current = (() => {
    try {
      return readFileSync(target(path), 'utf8');
    } catch {
      return undefined;
    }
  })();
  if (current === content) continue;
  stale++;
  console.error(`${path} is not current: run \`npm run docs\``);
}
process.exitCode = stale === 0 ? 0 : 1;
