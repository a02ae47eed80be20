import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Fleet, type UnitState } from '../../src/fleet/index.js';
import { firmwareBytes } from '../support/bytes.js';
import { SWUPDATE, SwupdateBoard } from '../support/clients/swupdate.js';
import { FakeRegistry } from '../support/fake-registry.js';
import { describeWith } from '../support/real-server.js';
import { TestService, until, type TestOptions } from '../support/service.js';

const image = firmwareBytes(300_000, 'image');

describeWith(SWUPDATE, 'the real SWUpdate in hawkBit mode', () => {
  const registry = new FakeRegistry();
  let service: TestService;
  let board: SwupdateBoard;

  beforeAll(() => registry.start());
  afterAll(() => registry.stop());
  beforeEach(() => {
    registry.fault = () => false;
    board = new SwupdateBoard('board-1');
  });
  afterEach(async () => {
    await board.remove();
    await service.stop();
    registry.remove('gateway');
  });

  const start = async (options: TestOptions = {}): Promise<void> => {
    service = await TestService.start({
      REGISTRY_URL: registry.url,
      REFRESH_INTERVAL: '0',
      DDI_DEFAULT_PRODUCT: 'gateway',
      POLL_INTERVAL: '1s',
      ...options,
    });
  };
  const push = (version: string, swu: Buffer): string =>
    registry.push('gateway', version, swu, 'application/octet-stream', `gateway-${version}.swu`);
  const state = async (): Promise<UnitState | undefined> =>
    service.service.app.get(Fleet, { strict: false }).find({ product: 'gateway', unit: 'board-1' });
  const outcome = async (): Promise<string | undefined> => (await state())?.outcome?.outcome;

  it('installs an update, and reports it after the reboot', async () => {
    await start();
    push('1.1.0', board.pack('1.1.0', image));
    board.start(service.url);
    await until(() => board.flashed(image.length).equals(image), 'the image in flash');
    await until(async () => (await state())?.attributes?.board === 'h3board', 'the configData');
    expect(await state()).toMatchObject({ running: '1.0.0', hardware: 'h3board' });
    expect(await outcome()).toBeUndefined();
    await board.stop();
    board.start(service.url, { suricatta: '-c 2' });
    await until(async () => (await outcome()) === 'installed', 'the report');
    expect(await state()).toMatchObject({ running: '1.1.0', outcome: { version: '1.1.0' } });
  });
});
