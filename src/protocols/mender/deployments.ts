import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../../clock.js';
import { DeviceRefusal, Links, parameter, readEndOfBody, type DeviceRequest } from '../../delivery/index.js';
import { OtaError } from '../../errors.js';
import type { Release } from '../../firmware/index.js';
import { boundedMessage, Fleet, type Offered, type Outcome, type UnitState } from '../../fleet/index.js';
import type { Identity, UnitIdentity } from '../../identity.js';
import { isSameVersion } from '../../semver.js';
import type { Ask } from '../ask.js';
import { Offers } from '../offers.js';
import type { AcceptedKeys } from './accepted-keys.js';
import type { MenderArtifact } from './artifact.js';
import { Artifacts } from './artifacts.js';
import { deploymentId, isManifestOf, type Deployment } from './deployment.js';
import { errorsIn, stateIn, unknownDeployment } from './said.js';

const PROTOCOL = 'mender';
/** Links without a signature do not expire. Clients do not check the date. */
const VALID_MS = 86_400_000;
/** A new release may appear between two looks at the current one. */
const MAX_TRIES = 3;
const MAX_MISMATCHES = 1_000;

/** A request of a device with a token. */
export interface MenderAsk extends UnitIdentity {
  /** SHA-256 of the device's public key. */
  readonly key: string;
  /** The artifact name that the device reports. */
  readonly running?: string | undefined;
  /** The device type, as it is spelled. */
  readonly hardware?: string | undefined;
  readonly deployment?: Deployment | undefined;
  readonly attributes?: Readonly<Record<string, string>> | undefined;
}

/** The answer to `deployments/next`. */
interface NextDeployment {
  readonly id: string;
  readonly artifact: {
    readonly artifact_name: string;
    readonly source: { readonly uri: string; readonly expire: string };
    readonly device_types_compatible: readonly string[];
  };
}

/** Offers releases as Mender's deployments, and takes what devices report of them. */
@Injectable()
export class Deployments {
  private readonly logger = new Logger('Deployments');
  /** Artifacts and device types that do not fit: each is logged once. */
  private readonly mismatches = new Set<string>();

  constructor(
    private readonly offers: Offers,
    private readonly fleet: Fleet,
    private readonly artifacts: Artifacts,
    private readonly links: Links,
    private readonly clock: Clock,
  ) {}

  /** Returns the next deployment of a device, or undefined if there is none. */
  async next(ask: MenderAsk, keys: AcceptedKeys, request: DeviceRequest): Promise<NextDeployment | undefined> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const current = await this.currentOf(ask.product, request);
      if (current === null) return undefined;
      const state = await this.bound(ask, keys);
      const artifactOfCurrent = current && (await this.artifacts.of(current));
      const said = { ...ask, running: runningOf(ask.running, state, current, artifactOfCurrent) };
      const release = await this.takenBy(said, current);
      const artifact = release && (await this.artifacts.of(release));
      if (!artifact || !this.fits(ask, release, artifact)) {
        this.fleet.seen(ask, PROTOCOL);
        return undefined;
      }
      const running = runningOf(ask.running, state, release, artifact);
      if (running !== said.running) {
        // It runs a stepping stone: now that its version is known, it may take the next one.
        await this.noteName(ask, state, release, artifact);
        continue;
      }
      const offer = await this.offers.of(said, request, { protocol: PROTOCOL, oncePerRelease: true });
      if (offer.release && !offer.release.equals(release)) continue;
      if (offer.withheld !== undefined) {
        await this.noteName(ask, state, release, artifact);
        return undefined;
      }
      const deployment = this.deploymentOf(release, artifact, ask, request);
      // Stored before it is answered, so that a report about it is expected, also after a restart.
      await this.fleet.update(ask, PROTOCOL, (now) => ({ ...now, notes: { ...begun(now), offering: artifact.name } }));
      return deployment;
    }
    return undefined;
  }

  /** Returns whether a unit was offered exactly this release: then it is delivered, also where no further download may start. */
  async isOffered(unit: UnitIdentity, deployment: Deployment): Promise<boolean> {
    return isManifestOf(deployment, (await this.fleet.find(unit))?.offer?.digest);
  }

  /** Notes that a unit has received the last byte of an artifact. */
  downloaded(unit: Identity, release: Release): void {
    this.fleet.downloaded(unit, PROTOCOL, release);
  }

  /**
   * Takes the state of a deployment. Returns false if the device has to abort it, because its release is no longer the
   * current one. Rejects with a DeviceRefusal (404) if the device was not offered it.
   */
  async report(ask: MenderAsk, request: DeviceRequest): Promise<boolean> {
    const status = stateIn(request.body);
    const { state, deployment, offer } = await this.offered(ask);
    const { version } = offer;
    if (status === 'success' || status === 'already-installed') {
      if (!hasEnded(state, deployment, 'installed'))
        await this.fleet.report(ask, PROTOCOL, { outcome: 'installed', version, notes: installed(state, version) });
      return true;
    }
    const isAborted = state.notes?.aborted === deployment.digits;
    if (status === 'failure') {
      // A device that had to abort has not failed: it is offered this release again when it is the current one again.
      if (!isAborted && !hasEnded(state, deployment, 'failed'))
        await this.fleet.report(ask, PROTOCOL, { outcome: 'failed', version });
      return true;
    }
    if (await this.isOver(ask, state, deployment, request)) {
      if (!isAborted) await this.note(ask, { aborted: deployment.digits });
      return false;
    }
    if (status === 'downloading' && state.notes?.downloading !== deployment.digits) {
      this.fleet.downloading(ask, PROTOCOL, { version, manifestDigest: offer.digest });
      await this.note(ask, { downloading: deployment.digits });
    }
    return true;
  }

  /** Takes the log of a failed deployment: its last errors become the message of the failure. */
  async log(ask: MenderAsk, { raw }: DeviceRequest): Promise<void> {
    const { deployment } = await this.offered(ask);
    const message = boundedMessage(errorsIn(await readEndOfBody(raw)));
    if (message === undefined) return;
    await this.fleet.update(ask, PROTOCOL, (state) => {
      const { outcome } = state;
      if (outcome?.outcome !== 'failed' || !isManifestOf(deployment, outcome.digest)) return state;
      return { ...state, outcome: { ...outcome, message } };
    });
  }

  /** Stores the inventory: PUT replaces it, PATCH adds to it. If the product has no release, nothing is stored. */
  async inventory(ask: MenderAsk, keys: AcceptedKeys, request: DeviceRequest): Promise<void> {
    const { product, attributes = {}, hardware } = ask;
    if (await this.isAbsent(product, request)) return;
    const state = await this.bound(ask, keys);
    const all = request.method === 'PATCH' ? { ...state.attributes, ...attributes } : attributes;
    await this.fleet.report(ask, PROTOCOL, { hardware, attributes: all });
  }

  /**
   * Returns the release that everybody is offered, null if the product has none, or undefined if only its plan says what its
   * units are offered.
   */
  private async currentOf(product: string, request: DeviceRequest): Promise<Release | undefined | null> {
    try {
      return await this.offers.current(product, request);
    } catch (error) {
      if (OtaError.isAnswer(error)) return null;
      throw error;
    }
  }

  /** Returns whether the product has no release. While the registry cannot say, it is assumed to have one. */
  private async isAbsent(product: string, request: DeviceRequest): Promise<boolean> {
    try {
      return (await this.currentOf(product, request)) === null;
    } catch {
      return false;
    }
  }

  /** Returns what a unit may take instead of `current`, or undefined if it may take nothing. */
  private async takenBy(ask: Ask, current: Release | undefined): Promise<Release | undefined> {
    if (!this.offers.isGuarded(current, ask)) return current;
    const { release, withheld } = await this.offers.guarded(current, ask, PROTOCOL);
    return withheld === undefined || withheld === 'up-to-date' ? release : undefined;
  }

  /** Returns whether the unit is to take another release, or none. While the registry cannot say, the deployment goes on. */
  private async isOver(
    { product, unit }: MenderAsk,
    { running, hardware }: UnitState,
    deployment: Deployment,
    request: DeviceRequest,
  ): Promise<boolean> {
    try {
      const current = await this.currentOf(product, request);
      if (current === null) return true;
      const isCurrent = isManifestOf(deployment, current?.manifestDigest);
      if (isCurrent && !this.offers.isPlanned(product)) return false;
      const release = await this.takenBy({ product, unit, running, hardware }, current);
      return !isManifestOf(deployment, release?.manifestDigest);
    } catch {
      return false;
    }
  }

  /**
   * Returns the state of a unit that has this key. A unit without a key gets this one. Rejects with a DeviceRefusal (403)
   * if it has another one.
   */
  private async bound(ask: MenderAsk, keys: AcceptedKeys): Promise<UnitState> {
    const mayBind = (state: UnitState | undefined): boolean => {
      const known = state?.key;
      return known === undefined || known === ask.key || keys.mayReplace(known, ask.key, ask);
    };
    const known = await this.fleet.find(ask);
    if (known?.key === ask.key) return known;
    if (!mayBind(known)) throw otherKey(ask);
    const state = await this.fleet.update(ask, PROTOCOL, (now) => (mayBind(now) ? { ...now, key: ask.key } : now));
    if (state.key !== ask.key) throw otherKey(ask);
    return state;
  }

  /** Returns the state of a unit, and the offer that a request is about. Changes nothing for anybody else. */
  private async offered(ask: MenderAsk): Promise<{ state: UnitState; deployment: Deployment; offer: Offered }> {
    const state = await this.fleet.find(ask);
    const { deployment } = ask;
    const offer = state?.offer;
    if (!deployment || !offer || state.key !== ask.key || !isManifestOf(deployment, offer.digest))
      throw unknownDeployment();
    return { state, deployment, offer };
  }

  private async note(ask: MenderAsk, notes: NonNullable<UnitState['notes']>): Promise<void> {
    await this.fleet.update(ask, PROTOCOL, (now) => ({ ...now, notes: { ...now.notes, ...notes } }));
  }

  /** Notes which version the artifact name of a unit stands for, so that its version is known after the next release. */
  private async noteName(
    ask: MenderAsk,
    state: UnitState,
    { version }: Release,
    artifact: MenderArtifact,
  ): Promise<void> {
    const { artifact: noted, version: notedVersion } = state.notes ?? {};
    if (ask.running !== artifact.name || (noted === artifact.name && notedVersion === version)) return;
    if (artifact.name !== version) await this.note(ask, { artifact: artifact.name, version });
  }

  private fits({ hardware = '' }: MenderAsk, release: Release, { deviceTypes }: MenderArtifact): boolean {
    if (deviceTypes.includes(hardware)) return true;
    const key = `${release.manifestDigest} ${hardware}`;
    if (!this.mismatches.has(key) && this.mismatches.size < MAX_MISMATCHES) {
      this.mismatches.add(key);
      this.logger.warn({
        event: 'mender.wrong_type',
        device: release.device,
        version: release.version,
        reason: `devices of the type ${JSON.stringify(hardware)} are not offered ${release.device} ${release.version}: its artifact is for ${deviceTypes.slice(0, 10).join(', ')}`,
      });
    }
    return false;
  }

  private deploymentOf(
    release: Release,
    artifact: MenderArtifact,
    ask: MenderAsk,
    request: DeviceRequest,
  ): NextDeployment {
    const id = deploymentId(release);
    const query = `version=${encodeURIComponent(release.version)}&unit=${encodeURIComponent(ask.unit)}`;
    const path = this.links.signed(`/api/devices/v1/deployments/device/deployments/${id}/artifact?${query}`, ask);
    const seconds = Number(parameter(path, 'expires') ?? NaN);
    const expires = new Date(Number.isNaN(seconds) ? this.clock.nowMs() + VALID_MS : seconds * 1000);
    return {
      id,
      artifact: {
        artifact_name: artifact.name,
        source: { uri: this.links.absolute(request, path), expire: expires.toISOString() },
        device_types_compatible: artifact.deviceTypes,
      },
    };
  }
}

/**
 * Returns the version that a unit runs, if its artifact name is that of a known artifact; otherwise the name. A moved tag
 * has another artifact with the same version, so that a unit with the artifact before does not run it.
 */
function runningOf(
  name: string | undefined,
  { notes }: UnitState,
  release: Release | undefined,
  artifact: MenderArtifact | undefined,
): string | undefined {
  if (release && name !== undefined && name === artifact?.name) return release.version;
  const known = notes?.version;
  const isOther = typeof known === 'string' && (!release || !isSameVersion(known, release.version));
  return name === notes?.artifact && isOther ? known : name;
}

/** Returns the notes of a unit that begins a deployment: it was not aborted yet. */
function begun({ notes }: UnitState): NonNullable<UnitState['notes']> {
  return Object.fromEntries(
    Object.entries(notes ?? {}).filter(([name]) => name !== 'aborted' && name !== 'downloading'),
  );
}

/** Returns the notes of a unit that has installed `version`: from now on it names the artifact that it was offered. */
function installed({ notes }: UnitState, version: string): NonNullable<UnitState['notes']> {
  return typeof notes?.offering === 'string' ? { ...notes, artifact: notes.offering, version } : { ...notes };
}

function hasEnded({ outcome }: UnitState, deployment: Deployment, wanted: Outcome): boolean {
  return outcome?.outcome === wanted && isManifestOf(deployment, outcome.digest);
}

const otherKey = ({ unit, key, product }: MenderAsk): DeviceRefusal =>
  new DeviceRefusal(
    403,
    'Another key was accepted for this device',
    [],
    `the Mender device ${unit} of ${product} was seen with another key before. Add the line "${product} sha256:${key} ${unit}" to the file of --mender-accept`,
  );
