import { it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { Broker, type Listener } from '../brokers.js';
import { Cli } from '../cli.js';

/** A broker as they are all started: in a process group of its own. */
class SilentBroker extends Broker {
  override get url(): string {
    return '';
  }
  override listen(): Promise<Listener> {
    throw new Error('not used');
  }
  override newest(): Promise<Map<string, string>> {
    throw new Error('not used');
  }
  protected override command(): ReturnType<Broker['command']> {
    const script = `process.title = 'silent-broker'; require('net').createServer().listen(${this.port}, '127.0.0.1')`;
    return { program: process.execPath, args: ['-e', script] };
  }
}

it('starts servers of each kind, names their processes, and never ends', async () => {
  const broker = await new SilentBroker().start();
  const server = new Cli(['--registry-url', 'oci:test/fixtures/layouts'], {
    LISTEN_ADDR: '127.0.0.1:0',
    METRICS_LISTEN_ADDR: '127.0.0.1:0',
    LOG_FORMAT: 'json',
  });
  await server.event('server.ready');
  // Its grandchild outlives it, as a server outlives the shell script that started it.
  const shell = spawn('sh', ['-c', 'sleep 1000 & echo $! && exec sleep 1000'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [grandchild] = (await new Promise<Buffer>((resolve) => shell.stdout.once('data', resolve)))
    .toString()
    .split('\n');
  const pids = [process.pid, broker.pid, server.pid, shell.pid, Number(grandchild)];
  writeFileSync(process.env.CUT_RUN_FILE ?? '', JSON.stringify({ pids, folder: process.env.TMPDIR }));
  await new Promise(() => setInterval(() => undefined, 1_000));
});
