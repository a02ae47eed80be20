import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IssuedFiles } from './authority.js';
import { expectStop, stopped } from './leftovers.js';
import { accepts, freePort } from './real-server.js';

/** How nginx passes on who a client is: the lines of its configuration. */
export const FORWARDING = {
  /** As most pages about nginx have it. */
  address: 'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
  'address and port': 'proxy_set_header X-Forwarded-For $remote_addr:$remote_port;',
  /** RFC 7239, with the port. */
  Forwarded: 'proxy_set_header Forwarded "for=\\"$remote_addr:$remote_port\\";proto=$scheme";',
  nothing: '',
} as const;

export interface NginxOptions {
  /** The port of 127.0.0.1 that it passes requests on to. */
  readonly to: number;
  /** Whether one connection to the upstream server is kept open, and shared by all clients. */
  readonly keepAlive: boolean;
  readonly forwards: keyof typeof FORWARDING;
  /** Certificate and key for clients; plain HTTP when undefined. */
  readonly tls?: IssuedFiles;
}

const PATH = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
const TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

/** An nginx from the system's packages, as a reverse proxy, with all of its files in a temporary folder. */
export class Nginx {
  private readonly folder = mkdtempSync(join(tmpdir(), 'otaflux-nginx-'));
  private process: ChildProcess | undefined;
  port = 0;

  start({ to, keepAlive, forwards, tls }: NginxOptions): Promise<this> {
    return this.run(
      (port) => `
      upstream otaflux { server 127.0.0.1:${to}; ${keepAlive ? 'keepalive 1;' : ''} }
      server {
        listen 127.0.0.1:${port}${tls ? ' ssl' : ''};
        ${tls ? `ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key};` : ''}
        location / {
          proxy_pass http://otaflux;
          proxy_http_version 1.1;
          proxy_set_header Connection "${keepAlive ? '' : 'close'}";
          ${FORWARDING[forwards]}
        }
      }`,
    );
  }

  /** @param http returns what stands in the block `http`, for the port that nginx is to listen on */
  async run(http: (port: number) => string): Promise<this> {
    expectStop(this, () => this.stop());
    this.port = await freePort();
    // One process without a master, so that the test ends all of it, also as root.
    writeFileSync(
      join(this.folder, 'nginx.conf'),
      `daemon off; master_process off; pid nginx.pid; error_log error.log warn;
      events { worker_connections 256; }
      http {
        access_log off;
        ${TEMPORARY.map((name) => `${name}_temp_path ${name};`).join(' ')}
        ${http(this.port)}
      }`,
    );
    const child = spawn('nginx', ['-e', 'error.log', '-p', `${this.folder}/`, '-c', 'nginx.conf'], {
      stdio: 'ignore',
      env: { ...process.env, PATH },
    });
    this.process = child;
    while (!(await accepts(this.port))) {
      if (child.exitCode !== null)
        throw new Error(`nginx ended: ${readFileSync(join(this.folder, 'error.log'), 'utf8')}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    return this;
  }

  async stop(): Promise<void> {
    stopped(this);
    const { process: child } = this;
    this.process = undefined;
    if (child?.exitCode === null)
      await new Promise((resolve) => {
        child.once('exit', resolve);
        child.kill('SIGKILL');
      });
    rmSync(this.folder, { recursive: true, force: true });
  }
}
