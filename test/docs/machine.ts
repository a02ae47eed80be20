import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { firmwareBytes } from '../support/bytes.js';
import { DistributionServer, hasProgram, Mosquitto } from '../support/real-server.js';
import { ROOT } from './page.js';
import { ShellSession, type Result } from './shell-session.js';

/** What every Linux and macOS has, and curl, which the documentation asks for. */
const TOOLS =
  'awk basename bash cat chmod cmp cp curl cut date dd diff dirname echo env false find grep gzip head id kill ln ls mkdir mktemp mv ' +
  'od printf ps pwd rm rmdir sed seq sh sleep sort stat tail tar tee test touch tr true uname uniq wc xargs';

/** Servers of `runs in the tests with …`, and the programs that they need. */
const SERVERS: Record<string, readonly string[]> = {
  registry: ['docker-registry'],
  mosquitto: ['mosquitto', 'mosquitto_sub', 'mosquitto_pub'],
};

/** The programs among `needs` that this machine does not have. */
export function missing(needs: readonly string[]): string[] {
  return needs.flatMap((need) => SERVERS[need] ?? [need]).filter((program) => !hasProgram(program));
}

/**
 * The machine of a newcomer: an empty home folder, Node and the tools that every system has. There are four things that a
 * reader brings or that the tests give a shorter way to: a file `firmware.bin`; the command `otaflux`, which is this
 * repository's build; `git clone` of the project, which copies this working copy; and `npm ci` in it, which links the packages
 * that are installed here from the same lock file.
 */
export class Machine {
  private readonly session: ShellSession;
  /** Names in the documentation, and what stands for them here. */
  private readonly substitutes: (readonly [RegExp, string])[];
  private readonly servers: { stop(): Promise<unknown> }[] = [];

  private constructor(
    readonly home: string,
    private readonly bin: string,
    devicePort: number,
    managementPort: number,
  ) {
    this.session = new ShellSession(home, join(dirname(home), 'blocks'), {
      HOME: home,
      PATH: bin,
      LANG: 'C.UTF-8',
      TEST_RUN_ID: process.env.TEST_RUN_ID ?? '',
      TMPDIR: tmpdir(),
      LISTEN_ADDR: `127.0.0.1:${devicePort}`,
      METRICS_LISTEN_ADDR: `127.0.0.1:${managementPort}`,
    });
    this.substitutes = [
      [/\b(?:localhost|127\.0\.0\.1):8080\b/g, `127.0.0.1:${devicePort}`],
      [/\b(?:localhost|127\.0\.0\.1):9090\b/g, `127.0.0.1:${managementPort}`],
    ];
  }

  static async start(): Promise<Machine> {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'otaflux-docs-')));
    const [home, bin] = [join(folder, 'home'), join(folder, 'bin')];
    mkdirSync(home);
    mkdirSync(bin);
    symlinkSync(process.execPath, join(bin, 'node'));
    symlinkSync(realpathSync(pathOf('npx')), join(bin, 'npx'));
    for (const tool of TOOLS.split(' ')) symlinkSync(pathOf(tool), join(bin, tool));
    writeCommands(bin, pathOf('npm'));
    // A device ignores statuses, a reader does not: an answer that is no success is a failure.
    writeFileSync(join(home, '.curlrc'), 'fail-with-body\nshow-error\n');
    writeFileSync(join(folder, 'firmware.bin'), firmwareBytes(50_000));
    return new Machine(home, bin, await quietPort(), await quietPort());
  }

  /** Makes a program available, or starts a server. */
  async add(need: string): Promise<void> {
    for (const program of SERVERS[need] ?? [need]) spawnSync('ln', ['-sf', pathOf(program), join(this.bin, program)]);
    if (need === 'registry') {
      const registry = await new DistributionServer().start();
      const host = registry.url.replace('http://127.0.0.1', 'localhost');
      this.servers.push(registry);
      this.substitutes.push([/https:\/\/registry\.example\.com/g, `http://${host}`], [/registry\.example\.com/g, host]);
    }
    if (need === 'mosquitto') {
      const broker = await new Mosquitto().start();
      this.servers.push(broker);
      const url = `mqtt://127.0.0.1:${broker.port}`;
      this.substitutes.push(
        [/mqtts?:\/\/broker\.example\.com(?::\d+)?/g, url],
        [/-h broker\.example\.com(?: -p \d+)?/g, `-h 127.0.0.1 -p ${broker.port}`],
      );
    }
  }

  /** Runs a block as its mark says; see ShellSession. */
  run(text: string, { until, fails = false }: { until?: string | undefined; fails?: boolean } = {}): Promise<Result> {
    const substituted = this.substitutes.reduce((all, [name, here]) => all.replaceAll(name, here), text);
    const own = '[ -e firmware.bin ] || cp "$HOME/../firmware.bin" .\n';
    const script = /\bfirmware\.bin\b/.test(text) ? own + substituted : substituted;
    if (until !== undefined) return this.session.runUntil(until, script);
    return fails ? this.session.runFailing(script) : this.session.run(script);
  }

  /** Writes a file of the page into the folder that the shell is in. */
  async write(name: string, text: string): Promise<void> {
    const { status, output } = await this.run(`mkdir -p "$(dirname ${name})"; pwd`);
    if (status !== 0) throw new Error(output);
    writeFileSync(join(output.trim(), name), text);
  }

  async stop(): Promise<void> {
    await this.session.end();
    for (const server of this.servers) await server.stop();
    rmSync(dirname(this.home), { recursive: true, force: true });
  }
}

/** A free port that the system does not give to a server that asks for any port: the page's server starts later. */
async function quietPort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server
        .once('error', () => {
          resolve(false);
        })
        .listen(port, '127.0.0.1', () => {
          resolve(true);
        });
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** Debian keeps servers, and Go its programs, where ordinary users do not look. */
function pathOf(program: string): string {
  const { stdout } = spawnSync('sh', ['-c', `command -v ${program}`], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` },
  });
  // What is built into the shell has a file, too.
  return stdout.startsWith('/') ? stdout.trim() : `/bin/${program}`;
}

function writeCommands(bin: string, npm: string): void {
  const write = (name: string, text: string): void => {
    writeFileSync(join(bin, name), text);
    chmodSync(join(bin, name), 0o755);
  };
  write('otaflux', `#!/bin/sh\nexec node ${join(ROOT, 'dist/main.js')} "$@"\n`);
  write(
    'npm',
    `#!/bin/sh
if [ "$*" = ci ] && cmp -s package-lock.json ${ROOT}package-lock.json; then
  rm -rf node_modules
  cp -al ${ROOT}node_modules . 2> /dev/null || cp -R ${ROOT}node_modules .
  rm -rf node_modules/.cache
  exit
fi
exec ${npm} "$@"
`,
  );
  write(
    'git',
    `#!/usr/bin/env node
const { cpSync } = require('fs');
const [command, url, target = 'otaflux'] = process.argv.slice(2);
if (command !== 'clone' || url !== 'https://github.com/otaflux/otaflux') {
  console.error('git: only the clone of the project is at hand');
  process.exit(1);
}
const left = /\\/(?:node_modules|dist|coverage|\\.git)$/;
cpSync(${JSON.stringify(ROOT)}, target, { recursive: true, filter: (path) => !left.test(path) });
`,
  );
}
