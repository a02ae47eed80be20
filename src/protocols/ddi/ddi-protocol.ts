import { Injectable } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Clock } from '../../clock.js';
import { Settings } from '../../config/index.js';
import {
  Delivery,
  invalidUnit,
  Links,
  methodNotAllowed,
  type DeviceRefusal,
  type DeviceRequest,
} from '../../delivery/index.js';
import { Fleet, type UnitState } from '../../fleet/index.js';
import { isUnitName, type UnitIdentity } from '../../identity.js';
import type { Ask } from '../ask.js';
import { DeviceProtocol, type Match } from '../device-protocol.js';
import { decoded, productInPath } from '../in-path.js';
import { Offers } from '../offers.js';
import { PollIntervals } from '../poll-intervals.js';
import { cancelled, cancelling, hasConfig, hasEnded, openAction, standingOf } from './action.js';
import { parseActionId } from './action-id.js';
import { Actions, PROTOCOL } from './actions.js';
import { ArtifactFiles } from './artifact-files.js';
import { configDataIn, confirmationIn, feedbackIn, installedIn } from './bodies.js';
import {
  artifactAnswer,
  cancelAnswer,
  deploymentAnswer,
  pollAnswer,
  type Artifact,
  type PollLinks,
} from './documents.js';
import {
  afterBegin,
  afterCancelFeedback,
  afterConfigData,
  afterDenial,
  afterFeedback,
  afterRunning,
  type Step,
} from './lifecycle.js';
import { actionOver, answerInJson, noAction, noResource } from './refusal.js';
import { CONTROLLER, routeOf, type Resource } from './routes.js';

/** The tenant that clients name by default. Zephyr writes it in lower case since 4.1. */
const DEFAULT_TENANT = 'default';

/**
 * The Direct Device Integration API v1 of Eclipse hawkBit, for SWUpdate, rauc-hawkbit-updater, Zephyr and others. The
 * tenant is the product, the controller id is the unit. A release for a unit is an action with a stable id, which is
 * offered until the unit has closed it.
 */
@Injectable()
export class DdiProtocol extends DeviceProtocol {
  private readonly actions: Actions;
  private readonly files: ArtifactFiles;
  private readonly intervals: PollIntervals;
  private readonly defaultProduct: string | undefined;

  constructor(
    private readonly delivery: Delivery,
    private readonly fleet: Fleet,
    private readonly links: Links,
    offers: Offers,
    clock: Clock,
    { pollInterval, ddiDefaultProduct }: Settings,
  ) {
    super();
    this.actions = new Actions(delivery, fleet, offers, clock);
    this.files = new ArtifactFiles(delivery, links);
    this.intervals = new PollIntervals(pollInterval);
    this.defaultProduct = ddiDefaultProduct;
  }

  override match(method: string, path: string, _raw: IncomingMessage): Match | undefined {
    return routeOf(method, path);
  }

  override identify({ method, params }: DeviceRequest): Ask {
    const tenant = decoded(params.tenant ?? '').toLowerCase();
    const product =
      tenant === DEFAULT_TENANT && this.defaultProduct !== undefined ? this.defaultProduct : productInPath(tenant);
    const unit = decoded(params.unit ?? '');
    if (!isUnitName(unit)) throw invalidUnit();
    const methods = (params.methods ?? '').split(' ');
    if (!methods.includes(method)) throw methodNotAllowed(...methods);
    return { product, unit };
  }

  override refuse(refusal: DeviceRefusal, response: ServerResponse): void {
    answerInJson(refusal, response);
  }

  override async handle({ product, unit = '' }: Ask, request: DeviceRequest, response: ServerResponse): Promise<void> {
    const identity = { product, unit };
    switch (request.params.resource as Resource) {
      case 'poll':
        sendJson(response, await this.poll(identity, request));
        return;
      case 'deployment':
      case 'confirmation':
        sendJson(response, await this.deployment(identity, request));
        return;
      case 'cancel':
        sendJson(response, cancelAnswer(await this.cancelWanted(identity, request)));
        return;
      case 'installedAction':
        sendJson(response, await this.installed(identity, request));
        return;
      case 'confirmations':
        // Nobody has to confirm an action before it is offered.
        sendJson(response, { autoConfirm: { active: true } });
        return;
      case 'artifacts':
        sendJson(response, (await this.artifactsOf(identity, request)).map(artifactAnswer));
        return;
      case 'artifact':
        await this.sendArtifact(identity, request, response);
        return;
      case 'other':
        throw noResource();
      default:
        await this.report(identity, request);
        // Two clients take every other status for a failure, and 201 is the default of many frameworks.
        response.writeHead(200, ['Content-Length', '0']).end();
    }
  }

  private async poll(unit: UnitIdentity, request: DeviceRequest): Promise<object> {
    const state = await this.actions.find(unit);
    const links = await this.linksFor(unit, state, request);
    const configData = hasConfig(state) ? undefined : 'configData';
    return pollAnswer(this.intervals.secondsOf(unit.product), this.absolute({ ...links, configData }, request));
  }

  /** Returns what the unit is to do next: one action at a time, a cancellation first. */
  private async linksFor(unit: UnitIdentity, state: UnitState | undefined, request: DeviceRequest): Promise<PollLinks> {
    const action = openAction(state);
    if (action) {
      const current = await this.actions.current(unit, state, request);
      this.fleet.seen(unit, PROTOCOL);
      switch (standingOf(action, current, this.actions.nowMs())) {
        case 'offered':
          if (current?.manifestDigest === action.digest) this.actions.offeredAgain(unit, current, request);
          return { deploymentBase: `deploymentBase/${action.id}` };
        case 'cancel':
          if (action.cancelMs === undefined)
            await this.actions.change(unit, (before) =>
              openAction(before)?.id === action.id ? cancelling(before, this.actions.nowMs()) : before,
            );
          return { cancelAction: `cancelAction/${action.id}` };
        case 'forgotten':
          await this.actions.change(unit, (before) =>
            openAction(before)?.id === action.id ? cancelled(before, action) : before,
          );
      }
    }
    const offered = await this.actions.offerTo(unit, state, request);
    return offered ? { deploymentBase: `deploymentBase/${offered.id}` } : {};
  }

  private async deployment(unit: UnitIdentity, request: DeviceRequest): Promise<object> {
    const id = actionIn(request);
    const release = await this.actions.handOut(unit, id, request);
    return deploymentAnswer(id, release, await this.files.of(release, this.folderOf(id, request), unit, request));
  }

  private async cancelWanted(unit: UnitIdentity, request: DeviceRequest): Promise<number> {
    const id = actionIn(request);
    const action = openAction(await this.actions.find(unit));
    if (action?.id !== id || action.cancelMs === undefined) throw noAction(id);
    return id;
  }

  private async installed(unit: UnitIdentity, request: DeviceRequest): Promise<object> {
    const id = actionIn(request);
    const state = await this.actions.find(unit);
    const release = await this.actions.release(unit, id, request);
    if (!hasEnded(state, id) || state?.outcome?.outcome !== 'installed') throw noAction(id);
    return deploymentAnswer(id, release, await this.files.of(release, this.folderOf(id, request), unit, request));
  }

  private async artifactsOf(unit: UnitIdentity, request: DeviceRequest): Promise<Artifact[]> {
    const id = actionIn(request);
    const release = await this.actions.release(unit, id, request);
    return this.files.of(release, this.folderOf(id, request), unit, request);
  }

  private async sendArtifact(unit: UnitIdentity, request: DeviceRequest, response: ServerResponse): Promise<void> {
    const id = actionIn(request);
    const release = await this.actions.release(unit, id, request);
    const file = this.files.find(release, decoded(request.params.file ?? ''));
    if (!file) throw noResource();
    const stored = await this.files.stored(release, file.image);
    if (file.isChecksum) {
      sendText(response, `${stored.firmware.md5}  ${file.name}`);
      return;
    }
    // Only a complete request is the begin of a download. SWUpdate sends HEAD before it.
    if (request.method === 'GET' && request.raw.headers.range === undefined) {
      await this.begin(unit, id);
      this.fleet.downloading(unit, PROTOCOL, release);
    }
    this.delivery.send(stored, request, response, undefined, undefined, (_bytes, isEnd) => {
      if (isEnd && file.image === release.main) this.fleet.downloaded(unit, PROTOCOL, release);
    });
  }

  /**
   * Notes that the unit has begun its action, for clients that report nothing before the end. Rejects with the refusal 410
   * if the unit runs the release of the action already.
   */
  private async begin(unit: UnitIdentity, id: number): Promise<void> {
    const begun = (state: UnitState): Step => {
      const action = openAction(state);
      return action?.id === id ? afterBegin(state, action, this.actions.nowMs()) : { state };
    };
    const known = await this.actions.find(unit);
    if (!known || begun(known).state === known) return;
    let step: Step | undefined;
    await this.actions.change(unit, (before) => (step = begun(before)).state);
    if (step?.isOver) throw actionOver();
  }

  private async report(unit: UnitIdentity, request: DeviceRequest): Promise<void> {
    const { body, params } = request;
    const now = this.actions.nowMs();
    switch (params.resource as Resource) {
      case 'deploymentFeedback': {
        const feedback = feedbackIn(body);
        await this.actions.report(unit, actionIn(request), request, (state, action) =>
          afterFeedback(state, action, feedback, now),
        );
        return;
      }
      case 'cancelFeedback': {
        const id = actionIn(request);
        const feedback = feedbackIn(body);
        const known = await this.actions.find(unit);
        if (openAction(known)?.cancelMs === undefined) throw hasEnded(known, id) ? actionOver() : noAction(id);
        await this.actions.report(unit, id, request, (state, action) => ({
          state: afterCancelFeedback(state, action, feedback),
        }));
        return;
      }
      case 'confirmationFeedback': {
        const { isDenied, message } = confirmationIn(body);
        await this.actions.report(unit, actionIn(request), request, (state, action) => ({
          state: isDenied ? afterDenial(state, action, message, now) : state,
        }));
        return;
      }
      case 'configData': {
        const said = configDataIn(body);
        await this.actions.demandProduct(unit, request);
        await this.actions.change(unit, (state) => afterConfigData(state, said, now));
        return;
      }
      case 'installed': {
        const version = installedIn(body);
        await this.actions.demandProduct(unit, request);
        await this.actions.change(unit, (state) => afterRunning(state, version, now));
      }
    }
  }

  private absolute(links: PollLinks, request: DeviceRequest): PollLinks {
    const made = Object.entries(links).map(([name, tail]: [string, string | undefined]) => [
      name,
      tail === undefined ? undefined : this.links.absolute(request, `${baseOf(request)}/${tail}`),
    ]);
    return Object.fromEntries(made) as PollLinks;
  }

  private folderOf(id: number, request: DeviceRequest): string {
    return `${baseOf(request)}/softwaremodules/${id}/artifacts`;
  }
}

/** The path of the unit, as the client has spelled it: Zephyr looks for its own spelling of the tenant in links. */
function baseOf({ params: { tenant = '', unit = '' } }: DeviceRequest): string {
  return `/${tenant}${CONTROLLER}${unit}`;
}

function actionIn({ params: { action = '' } }: DeviceRequest): number {
  const id = parseActionId(action);
  if (id === undefined) throw noAction(action);
  return id;
}

function sendJson(response: ServerResponse, document: object): void {
  send(response, 'application/json', JSON.stringify(document));
}

function sendText(response: ServerResponse, text: string): void {
  send(response, 'text/plain; charset=utf-8', text);
}

function send(response: ServerResponse, type: string, text: string): void {
  const length = String(Buffer.byteLength(text));
  response.writeHead(200, ['Content-Type', type, 'Content-Length', length, 'Cache-Control', 'no-store']);
  response.end(text);
}
