import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What `scripts/messages.mjs` exports; a script of the repository has no types. */
interface Messages {
  textsIn: (source: string) => { text: string; kind: 'event' | 'text'; line: number }[];
  differences: () => { missing: unknown[]; surplus: string[] };
  reviewed: () => {
    areas: { title: string; messages?: { text: string; help?: string }[]; parts?: string[] }[];
    events: Record<string, { level: string; means: string; action?: string }>;
    answers: { status: string; cause: string; action: string }[];
    other: string[];
  };
}

// By a variable, because the compiler would look for its types.
const SCRIPT = `../../scripts/messages.mjs`;
const script = (await import(SCRIPT)) as Messages;
const list = script.reviewed();
const messages = list.areas.flatMap((area) => area.messages ?? []);
const parts = list.areas.flatMap((area) => area.parts ?? []);
const sentences = [
  ...messages.flatMap(({ text, help = '' }) => [text, help]),
  ...parts,
  ...Object.values(list.events).flatMap(({ means, action = '' }) => [means, action]),
  ...list.answers.flatMap(({ cause, action }) => [cause, action]),
];

/** What tells a reader what to do, or what was expected instead. */
const NEXT_STEP =
  /\b(?:expected|Expected|Check|check|Set|set|Use|use|Give|give|Raise|raise|Push|Sign|Log in|log in|Name|name the|Correct|Add|Remove|Delete|Create|Choose|choose|Install|Compile|Copy|Write|Send|send|See|see|Renew|Allow|Enable|Wait|wait|waits|Try|try again|Stop|Run|run npm|did you mean|Did you mean|Leave|Rename|retrying|Start|Put|prints|Paths start|asks again|is sent again)\b/;
/** Output that reports a success, and questions. */
const NOT_A_PROBLEM =
  /^(?:Digest|Deleted|Wrote|… do not get it|Sign it|… get it|… keep getting|Delete …|device ids are|the server speaks|this is a MAC|…: the outcome|…: no outcome|…: forgotten)/;

describe('the list of messages', () => {
  it('has every text of the source code, and no other', () => {
    expect(script.differences()).toEqual({ missing: [], surplus: [] });
  });

  it('has each text once', () => {
    const all = [...messages.map(({ text }) => text), ...parts, ...list.other];
    expect(all.filter((text, index) => all.indexOf(text) !== index)).toEqual([]);
  });

  it('has messages that say what to do, or what was expected', () => {
    // Where the text ends with a blank, the advice depends on the cause: `help` says so.
    const silent = messages.filter(
      ({ text, help }) => !NEXT_STEP.test(text) && !NOT_A_PROBLEM.test(text) && !(help && text.endsWith('…')),
    );
    expect(silent.map(({ text }) => text)).toEqual([]);
  });

  it('has an action for every event that warns', () => {
    const alarming = Object.entries(list.events).filter(([, { level }]) => level !== 'info');
    expect(alarming.filter(([, { action }]) => !action).map(([name]) => name)).toEqual([]);
  });

  it.each([
    ['the team', /\b(?:we|us|our|ours)\b/i],
    ['tell, for offer or announce', /\b(?:tell|tells|told)\b/i],
    ['away, for unreachable', /\baway\b/i],
    ['judge, for verify', /\bjudge[ds]?\b/i],
    ['who, as a subject', /\b(?:nobody|somebody|whoever|who is right)\b/i],
    [
      'libraries and OpenSSL',
      /\b(?:undici|zod|openssl routines|getaddrinfo|E(?:NOENT|ACCES|CONN[A-Z]+|NOTFOUND|PIPE|ADDRINUSE))\b/i,
    ],
    ['a question instead of an action', /\bis [A-Z_]+ right\?/],
  ])('speaks plainly: nothing of %s', (_what, pattern) => {
    expect(sentences.filter((text) => pattern.test(text))).toEqual([]);
  });

  it('makes docs/troubleshooting.md', () => {
    const printing =
      "import('./scripts/troubleshooting.mjs').then(async (m) => process.stdout.write(await m.troubleshooting()))";
    const root = fileURLToPath(new URL('../..', import.meta.url));
    const { stdout } = spawnSync(process.execPath, ['-e', printing], { cwd: root, encoding: 'utf8' });
    const diff = spawnSync('diff', ['-', 'docs/troubleshooting.md'], { cwd: root, encoding: 'utf8', input: stdout });
    expect(diff.stdout).toBe('');
  });
});

describe('what is found in source code', () => {
  const found = (source: string): string[] => script.textsIn(source).map(({ text, kind }) => `${kind}: ${text}`);

  it.each([
    ["throw new OtaError('absent', `no tag ${tag} in ${name}`);", ['text: no tag … in …']],
    ["throw new ConfigError('x: ' + path + ' is wrong');", ['text: x: … is wrong']],
    ["new DeviceRefusal(403, 'Forbidden');", ['text: Forbidden']],
    ["log.warn({ event: 'a.failed', reason: 'Broken' });", ['event: a.failed', 'text: Broken']],
    ["log.warn({ event: ok ? 'a.good' : 'a.bad' });", ['event: a.good', 'event: a.bad']],
    ['const hidden = isOld ? `too old: ${age}` : "too new by far";', ['text: too old: …', 'text: too new by far']],
    ['process.stderr.write(`otaflux: cannot do ${it}\\n`);', ['text: otaflux: cannot do …']],
    ["helper('it fails in a helper');", ['text: it fails in a helper']],
  ])('%s', (source, expected) => {
    expect(found(source)).toEqual(expected);
  });

  it.each([
    "import { x } from 'some module';",
    "command.summary('Show the versions.').option('--json', 'Print as JSON.');",
    "option(kinds.path, { help: 'A file with many words.' });",
    "response.setHeader('Content-Type', 'text/plain; charset=utf-8');",
    "Symbol('webhook sources');",
    "type Kind = 'one of these' | 'or that one';",
    "const name = 'device';",
  ])('and not: %s', (source) => {
    expect(found(source)).toEqual([]);
  });
});
