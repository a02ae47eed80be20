import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Clock } from '../../src/clock.js';
import { Fleet, type UnitState } from '../../src/fleet/index.js';
import { shareOf } from '../../src/plan/index.js';
import { RolloutRunner } from '../../src/rollout/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { update } from '../support/clients/arduino.js';
import { blocks, RaucClient } from '../support/clients/rauc.js';
import { SWUPDATE, SwupdateBoard } from '../support/clients/swupdate-board.js';
import { SwupdateClient } from '../support/clients/swupdate.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { MenderClient, menderArtifact } from '../support/mender-client.js';
import { pushPlan } from '../support/push-plan.js';
import { describeWith } from '../support/real-server.js';
import { TestService, until } from '../support/service.js';
import { unitsBetween } from '../support/shares.js';

/** The program of test/clients/hawkbit-crate, built by `cargo build`. It takes minutes to build, so CI builds it beside. */
const CRATE = process.env.HAWKBIT_CLIENT;
const DAY = 86_400_000;
const SWU = 'gateway';
const MENDER = 'h3board';
const MENDER_PROGRAMS = ['mender', 'mender-artifact', 'dbus-run-session', 'unshare'];
/** The real clients have the real time. */
const STARTS_MS = Date.now() - 3_600_000;
/** One plan for both products: a release has either a .swu or a Mender artifact. */
const PLAN = `
serial: 1
channels: { stable: { versions: ">=1.0.0" } }
rollouts:
  - version: 1.1.0
    starts: ${new Date(STARTS_MS).toISOString()}
    stages: [{ percent: 50, for: 1d }]
    halt: { failed: 60%, least: 2 }
`;

const macs = (from: number, to: number, product = SWU): string[] => {
  const found: string[] = [];
  for (let i = 0; found.length < 3; i++) {
    const mac = `24:6F:28:00:00:${i.toString(16).padStart(2, '0').toUpperCase()}`;
    const share = shareOf(product, '1.1.0', product === MENDER ? mac.toLowerCase() : mac);
    if (share >= from && share < to) found.push(mac);
  }
  return found;
};

describeWith([...SWUPDATE, ...MENDER_PROGRAMS], 'one rollout to units with the real clients', () => {
  const registry = new FakeRegistry();
  const [boardUnit = '', generalUnit = '', raucUnit = '', crateUnit = '', failing = '', alsoFailing = ''] =
    unitsBetween(SWU, '1.1.0', 0, 50, 6);
  const [lateUnit = ''] = unitsBetween(SWU, '1.1.0', 50, 100);
  const [earlyMac = ''] = macs(0, 50);
  const [lateMac = ''] = macs(50, 100);
  const menderMac = (macs(0, 50, MENDER)[0] ?? '').toLowerCase();
  const image = firmwareBytes(300_000, 'image');
  let service: TestService;
  let board: SwupdateBoard;
  let mender: MenderClient | undefined;
  let nowMs: number;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(async () => {
    nowMs = STARTS_MS + 3_600_000;
    board = new SwupdateBoard(boardUnit);
    registry.push(SWU, '1.0.0', board.pack('1.0.0', firmwareBytes(1_000, 'old')), undefined, 'gateway.swu');
    registry.push(MENDER, '1.0.0', menderArtifact('rel-1', [MENDER], '#!/bin/sh\nexit 0\n'));
    registry.push(MENDER, '1.1.0', menderArtifact('rel-2', [MENDER], '#!/bin/sh\nexit 0\n'));
    for (const product of [SWU, MENDER]) pushPlan(registry, product, PLAN);
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REFRESH_INTERVAL: '0',
      DDI_DEFAULT_PRODUCT: SWU,
      POLL_INTERVAL: '1s',
      LOG_LEVEL: 'debug',
    });
    service.service.get(Clock).nowMs = () => nowMs;
  });
  afterEach(async () => {
    await mender?.stop();
    mender = undefined;
    await board.remove();
    await service.stop();
    for (const product of [SWU, MENDER]) registry.remove(product);
  });

  const push = (bytes: Buffer): Buffer => {
    const swu = board.pack('1.1.0', bytes);
    registry.push(SWU, '1.1.0', swu, undefined, 'gateway.swu');
    return swu;
  };
  const state = async (unit: string, product = SWU): Promise<UnitState | undefined> => {
    const fleet = service.service.get(Fleet);
    await fleet.flush();
    return fleet.find({ product, unit });
  };
  const installed = (unit: string, product = SWU): Promise<void> =>
    until(async () => {
      const { outcome } = (await state(unit, product)) ?? {};
      return outcome?.outcome === 'installed' && outcome.version === '1.1.0';
    }, `the install of ${unit}`);
  const rollout = async (product: string): Promise<Record<string, unknown>> => {
    service.service.get(RolloutRunner).lookAtDue();
    const { body } = await service.management.get(`/status?device=${product}`).expect(200);
    const [plan] = (body as { plans: { rollouts: Record<string, unknown>[] }[] }).plans;
    return plan?.rollouts[0] ?? {};
  };
  const general = (unit: string): SwupdateClient =>
    new SwupdateClient(service.port, {
      url: `/swupdate/${SWU}`,
      logurl: `/swupdate/${SWU}/log`,
      identify: { serial: unit, running: '1.0.0' },
      logevent: { success: 'success,serial', fail: 'fail,serial', started: 'started,serial' },
    });
  const arduino = (mac: string): ReturnType<typeof update> =>
    update(service.port, `/firmware?device=${SWU}`, {
      chip: 'esp32',
      mac,
      version: '1.0.0',
      sketch: firmwareBytes(1_000, 'sketch'),
    });
  const rauc = (unit: string): RaucClient =>
    new RaucClient(service.port, {
      url: `/rauc/${SWU}`,
      headers: { 'RAUC-Serial': unit, 'RAUC-System-Version': '1.0.0' },
    });
  const crate = async (unit: string): Promise<number | null> => {
    const folder = mkdtempSync(join(tmpdir(), 'otaflux-crate-'));
    const child = spawn(CRATE ?? '', [service.url, 'DEFAULT', unit, 'token', folder, 'success']);
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    rmSync(folder, { recursive: true });
    return code;
  };

  it('reaches those in the stage, each by its protocol, and then everybody', async () => {
    const swu = push(image);
    // DDI: SWUpdate in hawkBit mode, and the crate.
    board.start(service.url);
    await until(() => board.flashed(image.length).equals(image), 'the image in flash');
    await board.stop();
    board.start(service.url, { suricatta: '-c 2' });
    await installed(boardUnit);
    if (CRATE !== undefined) {
      expect(await crate(crateUnit)).toBe(0);
      await installed(crateUnit);
    }
    // Mender.
    mender = new MenderClient({ url: service.url, mac: menderMac, deviceType: MENDER, artifactName: 'rel-1' });
    mender.start();
    await installed(menderMac, MENDER);
    // SWUpdate in general mode.
    expect(await general(generalUnit).poll()).toMatchObject({ result: 'installed' });
    await installed(generalUnit);
    expect(await general(lateUnit).poll()).toMatchObject({ result: 'no update' });
    // RAUC.
    const client = rauc(raucUnit);
    const { size = 0, effectiveUrl = '' } = await client.begin();
    expect(size).toBe(swu.length);
    await client.read(effectiveUrl, blocks(size), 4);
    client.close();
    await until(async () => (await state(raucUnit))?.downloaded?.version === '1.1.0', 'the bundle');
    expect(await rauc(lateUnit).poll()).toEqual({ result: 'no content' });
    // Arduino.
    // The library asks, and refuses the image: a .swu does not begin as one of Espressif.
    expect((await arduino(earlyMac)).result).toBe('-106 bad magic');
    expect((await state(earlyMac))?.offer?.version).toBe('1.1.0');
    expect((await arduino(lateMac)).result).toBe('NO_UPDATES');
    expect(await rollout(SWU)).toMatchObject({ state: 'running', installed: CRATE === undefined ? 2 : 3, failed: 0 });
    expect(await rollout(MENDER)).toMatchObject({ state: 'running', installed: 1, failed: 0 });
    nowMs += DAY;
    expect(await rollout(SWU)).toMatchObject({ state: 'complete' });
    expect(await general(lateUnit).poll()).toMatchObject({ result: 'installed' });
    expect((await arduino(lateMac)).result).toBe('-106 bad magic');
    expect((await rauc(lateUnit).poll()).result).toBe('bundle');
  });

  it('is cancelled at the SWUpdate that downloads it, when it is halted', async () => {
    const large = firmwareBytes(3_500_000, 'large');
    push(large);
    board.start(service.url, { suricatta: '-n 50k' });
    await until(async () => (await state(boardUnit))?.notes?.started === true, 'the begin of the download');
    for (const unit of [failing, alsoFailing])
      expect(await general(unit).poll({ isGood: () => false })).toMatchObject({ result: 'failed' });
    expect(await rollout(SWU)).toMatchObject({ state: 'halted', failed: 2 });
    await until(async () => (await state(boardUnit))?.notes?.action === undefined, 'the end of the action');
    expect(board.flashed(large.length).equals(large)).toBe(false);
    expect(await general(generalUnit).poll()).toMatchObject({ result: 'no update' });
    expect((await arduino(earlyMac)).result).toBe('NO_UPDATES');
    expect(await rauc(raucUnit).poll()).toEqual({ result: 'no content' });
  });
});
