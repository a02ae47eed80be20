import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Authority } from './authority.js';
import { expectStop, stopped } from './leftovers.js';
import { accepts, freePort, runProgram } from './real-server.js';

/**
 * Real brokers that admit only the user `robot` with the password `right`, on ports with and without TLS. Their
 * certificate is for 127.0.0.1, and from an authority that no machine trusts.
 */
export class StrictBrokers {
  private readonly folder = mkdtempSync(join(tmpdir(), 'otaflux-strict-'));
  readonly authority = new Authority(join(this.folder, 'pki'), 'ca');
  readonly other = new Authority(join(this.folder, 'pki'), 'other');
  private readonly server = this.authority.issue('server');
  private readonly processes: ChildProcess[] = [];
  /** The port of Erlang's port mapper, which goes on by itself. */
  private mapper: number | undefined;

  constructor() {
    expectStop(this, () => this.stop());
  }

  /** `robot` may only use the topic `allowed`. */
  async redis(): Promise<{ plain: number; tls: number }> {
    const [plain, tls] = [await freePort(), await freePort()];
    const { cert, key } = this.server;
    const path = this.file(
      'redis.conf',
      ['bind 127.0.0.1', `port ${plain}`, `tls-port ${tls}`, 'save ""', `dir ${this.folder}`, 'requirepass right']
        .concat([`tls-cert-file ${cert}`, `tls-key-file ${key}`, `tls-ca-cert-file ${this.authority.cert}`])
        .concat(['tls-auth-clients no', 'user robot on >right ~allowed:* &allowed:* +@all', 'user silent on >right']),
    );
    await this.launch('redis-server', [path], [plain, tls]);
    return { plain, tls };
  }

  async nats(): Promise<{ plain: number; tls: number; jetStream: number }> {
    const [plain, tls, jetStream] = [await freePort(), await freePort(), await freePort()];
    const { cert, key } = this.server;
    const users = [
      'authorization { users = [',
      '{ user: robot, password: right, permissions: { publish: { deny: "forbidden.>" } } }',
      '] }',
    ];
    const tlsBlock = `tls { cert_file: "${cert}", key_file: "${key}" }`;
    const plainPath = this.file('nats.conf', [`listen: 127.0.0.1:${plain}`, ...users]);
    const tlsPath = this.file('nats-tls.conf', [`listen: 127.0.0.1:${tls}`, tlsBlock]);
    const jsPath = this.file('nats-js.conf', [
      `listen: 127.0.0.1:${jetStream}`,
      `jetstream { store_dir: "${this.folder}/js" }`,
      'authorization { users = [',
      '{ user: robot, password: right, permissions: { publish: { deny: ["$JS.API.STREAM.CREATE.>"] } } }',
      '] }',
    ]);
    await this.launch('nats-server', ['-c', plainPath], [plain]);
    await this.launch('nats-server', ['-c', tlsPath], [tls]);
    await this.launch('nats-server', ['-c', jsPath], [jetStream]);
    return { plain, tls, jetStream };
  }

  /** `robot` may only use the topic `allowed`. */
  async mosquitto(): Promise<{ plain: number; tls: number; mutual: number }> {
    const [plain, tls, mutual] = [await freePort(), await freePort(), await freePort()];
    const { cert, key } = this.server;
    const passwords = this.file('mosquitto-passwords', []);
    runProgram('mosquitto_passwd', ['-b', '-c', passwords, 'robot', 'right']);
    const acl = this.file('mosquitto-acl', ['user robot', 'topic readwrite allowed/#', '']);
    const tlsLines = [`cafile ${this.authority.cert}`, `certfile ${cert}`, `keyfile ${key}`];
    const access = ['allow_anonymous false', `password_file ${passwords}`, `acl_file ${acl}`];
    const path = this.file(
      'mosquitto.conf',
      ['per_listener_settings true', 'user root', `listener ${plain} 127.0.0.1`, ...access]
        .concat([`listener ${tls} 127.0.0.1`, ...tlsLines, ...access])
        .concat([`listener ${mutual} 127.0.0.1`, ...tlsLines, 'require_certificate true', ...access]),
    );
    await this.launch('mosquitto', ['-c', path], [plain, tls, mutual]);
    return { plain, tls, mutual };
  }

  /** The virtual hosts are `/` and `closed`, which `robot` may not enter. In `/`, it may only use what begins with `allowed`. */
  async rabbitMq(): Promise<{ plain: number; tls: number }> {
    const [plain, tls] = [await freePort(), await freePort()];
    const [distribution, mapper] = [await freePort(), await freePort()];
    this.mapper = mapper;
    const { cert, key } = this.server;
    const salt = randomBytes(4);
    const hash = createHash('sha256').update(salt).update('right').digest();
    const only = '^allowed';
    const definitions = {
      users: [{ name: 'robot', password_hash: Buffer.concat([salt, hash]).toString('base64'), tags: '' }],
      vhosts: [{ name: '/' }, { name: 'closed' }],
      permissions: [{ user: 'robot', vhost: '/', configure: only, write: only, read: only }],
      exchanges: [
        {
          name: 'allowed-direct',
          vhost: '/',
          type: 'direct',
          durable: true,
          auto_delete: false,
          internal: false,
          arguments: {},
        },
      ],
    };
    writeFileSync(join(this.folder, 'definitions.json'), JSON.stringify(definitions));
    const config = this.file('rabbitmq.conf', [
      `listeners.tcp.1 = 127.0.0.1:${plain}`,
      `listeners.ssl.1 = 127.0.0.1:${tls}`,
      `ssl_options.cacertfile = ${this.authority.cert}`,
      `ssl_options.certfile = ${cert}`,
      `ssl_options.keyfile = ${key}`,
      `load_definitions = ${join(this.folder, 'definitions.json')}`,
      '',
    ]);
    const path = (name: string): string => join(this.folder, name);
    await this.launch('/usr/lib/rabbitmq/bin/rabbitmq-server', [], [plain, tls], {
      HOME: this.folder,
      ERL_EPMD_PORT: String(mapper),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_NODENAME: `strict-${process.pid}@localhost`,
      RABBITMQ_DIST_PORT: String(distribution),
      RABBITMQ_MNESIA_BASE: path('data'),
      RABBITMQ_LOG_BASE: path('log'),
      RABBITMQ_CONFIG_FILE: config,
      RABBITMQ_ENABLED_PLUGINS_FILE: this.file('plugins', ['[].']),
      RABBITMQ_PID_FILE: path('pid'),
    });
    return { plain, tls };
  }

  /** `acls` allows nobody anything. */
  async kafka(): Promise<{ plain: number; tls: number; acls: number }> {
    const [plain, tls, acls] = [await freePort(), await freePort(), await freePort()];
    const source = fileURLToPath(new URL('kafka-double', import.meta.url));
    const program = join(this.folder, 'kafka-double');
    runProgram('go', ['build', '-o', program, '.'], source);
    const { cert, key } = this.server;
    await this.launch(program, ['-sasl', String(plain)], [plain]);
    await this.launch(program, ['-cert', cert, '-key', key, String(tls)], [tls]);
    await this.launch(program, ['-acls', String(acls)], [acls]);
    return { plain, tls, acls };
  }

  async stop(): Promise<void> {
    stopped(this);
    for (const child of this.processes.splice(0)) {
      if (child.pid === undefined || child.exitCode !== null) continue;
      const { pid } = child;
      await new Promise((resolve) => {
        child.once('exit', resolve);
        process.kill(-pid, 'SIGKILL');
      });
    }
    if (this.mapper !== undefined)
      spawnSync('epmd', ['-kill'], { env: { ...process.env, ERL_EPMD_PORT: String(this.mapper) } });
    rmSync(this.folder, { recursive: true, force: true });
  }

  private file(name: string, lines: readonly string[]): string {
    const path = join(this.folder, name);
    writeFileSync(path, lines.map((line) => `${line}\n`).join(''));
    return path;
  }

  private async launch(
    program: string,
    args: string[],
    ports: readonly number[],
    env: NodeJS.ProcessEnv = {},
  ): Promise<void> {
    const path = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
    const child = spawn(program, args, {
      stdio: 'ignore',
      detached: true,
      env: { ...process.env, PATH: path, ...env },
    });
    this.processes.push(child);
    const deadline = Date.now() + 120_000;
    for (const port of ports)
      while (!(await accepts(port))) {
        if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}`);
        if (Date.now() > deadline) throw new Error(`${program} does not listen`);
        await new Promise((resolve) => setTimeout(resolve, 25));
      }
  }
}
