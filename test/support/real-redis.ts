import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { expectStop, stopped } from './leftovers.js';
import { freePort, runProgram } from './real-server.js';

/** A real redis-server on 127.0.0.1, with its data in a folder of its own. */
export class RealRedis {
  readonly folder = mkdtempSync(join(tmpdir(), 'otaflux-redis-'));
  port = 0;
  private child: ChildProcess | undefined;

  constructor(private readonly args: readonly string[] = []) {}

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  async start(): Promise<this> {
    expectStop(this, () => this.stop());
    this.port = await freePort();
    await this.launch();
    return this;
  }

  /** Starts it again on its port, with what it has saved. */
  async launch(): Promise<void> {
    const own = ['--bind', '127.0.0.1', '--port', String(this.port), '--dir', this.folder, '--save', ''];
    await this.spawnWith([...own, '--appendonly', 'yes', '--appendfsync', 'always', ...this.args]);
  }

  protected async spawnWith(args: readonly string[]): Promise<void> {
    this.child = spawn('redis-server', args, { stdio: 'ignore' });
    await this.answers();
  }

  /** Sends one command. */
  async command(...args: string[]): Promise<unknown> {
    const client = new Redis(this.port, '127.0.0.1', { enableReadyCheck: false, maxRetriesPerRequest: null });
    client.on('error', () => undefined);
    try {
      const [name = '', ...rest] = args;
      return await client.call(name, rest);
    } finally {
      client.disconnect();
    }
  }

  /** Lets it stand still: connections stay open, and nothing is answered. */
  pause(): void {
    this.child?.kill('SIGSTOP');
  }

  resume(): void {
    this.child?.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (child?.exitCode !== null) return;
    await new Promise((resolve) => {
      child.once('exit', resolve);
      child.kill('SIGKILL');
    });
  }

  async stop(): Promise<void> {
    stopped(this);
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async answers(): Promise<void> {
    for (let tries = 0; tries < 400; tries++) {
      try {
        await this.command('PING');
        return;
      } catch (error) {
        if (String(error).includes('NOAUTH')) return;
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error('redis-server did not start');
  }
}

/** Three redis-servers that share the slots of a cluster. */
export class RealRedisCluster {
  readonly nodes = Array.from({ length: 3 }, () => new RealRedis(['--cluster-enabled', 'yes']));

  get url(): string {
    return `redis+cluster://${this.nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
  }

  async start(): Promise<this> {
    for (const node of this.nodes) await node.start();
    const hosts = this.nodes.map(({ port }) => `127.0.0.1:${port}`);
    runProgram('redis-cli', ['--cluster', 'create', ...hosts, '--cluster-yes']);
    for (let tries = 0; tries < 1_000; tries++) {
      const infos = await Promise.all(this.nodes.map((node) => node.command('CLUSTER', 'INFO')));
      if (infos.every((info) => String(info).includes('cluster_state:ok'))) return this;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error('the cluster did not form');
  }

  async stop(): Promise<void> {
    for (const node of this.nodes) await node.stop();
  }
}

/** A primary, a replica, and a sentinel that watches them. */
export class RealSentinel {
  readonly primary = new RealRedis();
  replica: RealRedis | undefined;
  private sentinel: RealRedis | undefined;

  get url(): string {
    return `redis+sentinel://127.0.0.1:${this.sentinel?.port ?? 0}/mymaster`;
  }

  async start(): Promise<this> {
    await this.primary.start();
    this.replica = await new RealRedis(['--replicaof', '127.0.0.1', String(this.primary.port)]).start();
    const file = join(this.primary.folder, 'sentinel.conf');
    writeFileSync(
      file,
      `sentinel monitor mymaster 127.0.0.1 ${this.primary.port} 1\nsentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 2000\n`,
    );
    this.sentinel = await new SentinelProcess(file).start();
    for (let tries = 0; tries < 1_000; tries++) {
      const known = await this.sentinel.command('SENTINEL', 'REPLICAS', 'mymaster');
      if (Array.isArray(known) && known.length === 1) return this;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error('the sentinel does not know the replica');
  }

  async stop(): Promise<void> {
    await this.sentinel?.stop();
    await this.replica?.stop();
    await this.primary.stop();
  }
}

class SentinelProcess extends RealRedis {
  constructor(private readonly file: string) {
    super();
  }

  override async launch(): Promise<void> {
    await this.spawnWith([this.file, '--sentinel', '--port', String(this.port), '--bind', '127.0.0.1']);
  }
}
