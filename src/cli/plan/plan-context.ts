import type { Command } from 'commander';
import { gather, parseSettings, type Settings } from '../../config/index.js';
import { OtaError, ConfigError } from '../../errors.js';
import type { Candidate } from '../../firmware/select-version.js';
import type { Descriptor } from '../../oci/index.js';
import { createArtifactWriter, createRegistry } from '../../registry/adapters.js';
import type { ArtifactWriter, Registry } from '../../registry/index.js';
import { givenFlags } from '../flags.js';
import { showRetries, StatusLine } from '../progress.js';
import { signerOf, type SignOptions } from '../sign/sign-options.js';
import type { Signer } from '../sign/manifest-signer.js';
import type { CheckedVersion } from '../checked-version.js';
import { repositoryOf, VersionChecker } from '../version-checker.js';
import type { Source } from './offline.js';
import { PlanStore } from './plan-store.js';

/** What a command about the plan of a product works with. */
export class PlanContext {
  private versions: Promise<readonly Candidate[]> | undefined;
  private checker: Promise<VersionChecker> | undefined;
  private artifactWriter: Promise<ArtifactWriter> | undefined;
  readonly store: PlanStore;
  private readonly line = StatusLine.on(process.stderr);

  private constructor(
    readonly settings: Settings,
    readonly product: string,
    readonly repository: string,
    readonly registry: Registry,
  ) {
    this.store = new PlanStore(registry, () => this.writer(), repository);
  }

  /** Reads the settings of `command`. Rejects with ConfigError. Sends no request yet. */
  static async of(command: Command, product: string): Promise<PlanContext> {
    const settings = parseSettings(await gather({ flags: givenFlags(command), environment: process.env }));
    const repository = repositoryOf(settings, product);
    const line = StatusLine.on(process.stderr);
    return new PlanContext(settings, product, repository, await createRegistry(settings, showRetries(line)));
  }

  /** Prepares a push. A folder as the registry is created if it does not exist. */
  async prepare(): Promise<void> {
    await this.writer();
  }

  signer(options: SignOptions): Promise<Signer | undefined> {
    return signerOf(options, this.settings, this.registry, () => this.writer());
  }

  /** Returns all versions in the registry, newest first. */
  all(): Promise<readonly Candidate[]> {
    return (this.versions ??= this.versionChecker()
      .then((checker) => checker.all())
      .catch((error: unknown) => {
        if (error instanceof OtaError && error.code === 'absent') return [];
        throw error;
      }));
  }

  /** Returns what the server would say of `version`, or undefined if the registry does not have it. */
  async check(version: string): Promise<CheckedVersion | undefined> {
    const candidate = (await this.all()).find((one) => one.version === version);
    return candidate && (await this.versionChecker()).check(candidate);
  }

  /** Returns why the server does not take a plan with this manifest, or undefined if its signature is good. */
  async verify(manifest: Descriptor): Promise<string | undefined> {
    const { planRefusal } = await import('./offline.js');
    return planRefusal(this, manifest);
  }

  /** Returns what decides without a server. */
  async source(): Promise<Source> {
    return (await this.versionChecker()).source;
  }

  /** Removes the line with retries from the terminal. */
  clear(): void {
    this.line?.clear();
  }

  private versionChecker(): Promise<VersionChecker> {
    return (this.checker ??= VersionChecker.create(this.registry, this.repository, this.settings, this.product));
  }

  private writer(): Promise<ArtifactWriter> {
    return (this.artifactWriter ??= createArtifactWriter(this.settings, showRetries(this.line)));
  }
}

/** Returns `version` in the form that plans have: without `v`, and with `+`. Throws ConfigError if it is no version. */
export function planVersion(given: string, versionOf: (tag: string) => string | undefined): string {
  const version = versionOf(given.replace('+', '_'));
  if (version !== undefined) return version;
  throw new ConfigError(`version: got ${JSON.stringify(given)}, expected a semantic version such as 1.2.3`);
}
