import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectStop, stopped } from './leftovers.js';

/** Makes a Mender artifact with mender-artifact, whose payload is a script for the update module `script`. */
export function menderArtifact(
  name: string,
  deviceTypes: readonly string[],
  script: string,
  options: readonly string[] = [],
): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'otaflux-mender-'));
  try {
    writeFileSync(join(folder, 'script.sh'), script);
    const types = deviceTypes.flatMap((type) => ['-t', type]);
    const made = ['write', 'module-image', '-T', 'script', '-n', name, ...types, '-o', 'x.mender', '-f', 'script.sh'];
    execFileSync('mender-artifact', [...options, ...made], { cwd: folder });
    return execFileSync('cat', ['x.mender'], { cwd: folder, maxBuffer: 1 << 28 });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export interface MenderDevice {
  readonly url: string;
  readonly mac: string;
  readonly deviceType: string;
  /** The artifact that it runs at first. */
  readonly artifactName: string;
  readonly tenantToken?: string;
  /** PEM of the certificate authorities that it trusts. */
  readonly authority?: string;
}

/**
 * The daemon of the package mender-client, as a device runs it. Its folders are its own, in a mount namespace, and so is its
 * message bus.
 */
export class MenderClient {
  readonly log: string[] = [];
  private readonly folder = mkdtempSync(join(tmpdir(), 'otaflux-mender-'));
  private daemon: ChildProcess | undefined;

  constructor({ url, mac, deviceType, artifactName, tenantToken, authority }: MenderDevice) {
    const [etc, state, share] = ['etc', 'state', 'share'].map((name) => join(this.folder, name)) as [
      string,
      string,
      string,
    ];
    mkdirSync(etc);
    mkdirSync(state);
    cpSync('/usr/share/mender', share, { recursive: true });
    mkdirSync(join(share, 'identity'), { recursive: true });
    const identity = join(share, 'identity', 'mender-device-identity');
    writeFileSync(identity, `#!/bin/sh\necho mac=${mac}\n`);
    chmodSync(identity, 0o755);
    writeFileSync(join(etc, 'artifact_info'), `artifact_name=${artifactName}\n`);
    writeFileSync(join(state, 'device_type'), `device_type=${deviceType}\n`);
    if (authority !== undefined) writeFileSync(join(etc, 'ca.pem'), authority);
    writeFileSync(
      join(etc, 'mender.conf'),
      JSON.stringify({
        ServerURL: url,
        ...(tenantToken !== undefined && { TenantToken: tenantToken }),
        ...(authority !== undefined && { ServerCertificate: '/etc/mender/ca.pem' }),
        UpdatePollIntervalSeconds: 2,
        InventoryPollIntervalSeconds: 3_600,
        RetryPollIntervalSeconds: 1,
      }),
    );
    const mounts = [
      'mount --make-rprivate /',
      'mount -t tmpfs tmpfs /var/lib',
      'mkdir /var/lib/mender',
      `mount --bind ${state} /var/lib/mender`,
      `mount --bind ${etc} /etc/mender`,
      `mount --bind ${share} /usr/share/mender`,
    ];
    writeFileSync(
      join(this.folder, 'run.sh'),
      `set -e\n${mounts.join('\n')}\nexec dbus-run-session -- mender -c /etc/mender/mender.conf --no-syslog -l debug daemon\n`,
    );
  }

  start(): void {
    const daemon = spawn('unshare', ['-m', 'sh', join(this.folder, 'run.sh')], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.daemon = daemon;
    for (const stream of [daemon.stdout, daemon.stderr])
      stream.on('data', (piece: Buffer) => this.log.push(...piece.toString().split('\n')));
    expectStop(this, () => {
      this.kill();
    });
  }

  async stop(): Promise<void> {
    stopped(this);
    const { daemon } = this;
    if (daemon?.exitCode === null) {
      const gone = new Promise((resolve) => daemon.once('exit', resolve));
      this.kill();
      await gone;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Creates an empty file in /etc/mender of the device. */
  touch(name: string): void {
    writeFileSync(join(this.folder, 'etc', name), '');
  }

  /** Returns whether the log has a line with this text. */
  says(text: string): boolean {
    return this.log.some((line) => line.includes(text));
  }

  private kill(): void {
    if (this.daemon?.pid !== undefined) process.kill(-this.daemon.pid, 'SIGKILL');
  }
}
