import { Logger } from '@nestjs/common';
import type * as LmdbModule from 'lmdb';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, reasonOf } from '../../errors.js';
import { makeFolder } from '../../folders.js';
import type { FleetStore } from '../fleet-store.js';
import type { RolloutKeeper } from '../rollout-keeper.js';
import { isIntact } from './intact.js';
import { LmdbFleetStore, type LmdbTables } from './lmdb-fleet-store.js';
import { LmdbRolloutKeeper } from './lmdb-rollout-keeper.js';

type Lmdb = typeof LmdbModule;

/** Name of the folder in STATE_DIR. */
const FOLDER = 'units';
const FILE = 'data.mdb';
const NO_PACKAGE = /^(?:ERR_MODULE_NOT_FOUND|MODULE_NOT_FOUND)$/;

/** What is in the file. */
export interface OpenedLmdb {
  readonly store: FleetStore;
  readonly keeper: RolloutKeeper;
}

/**
 * Opens the units in `stateDir`. A file that is damaged is set aside, because units say again what they run. Without the
 * package `lmdb`, an optional peer dependency, returns undefined. Rejects if the folder cannot be used.
 */
export async function openLmdb(stateDir: string): Promise<OpenedLmdb | undefined> {
  const logger = new Logger('LmdbFleetStore');
  let lmdb: Lmdb;
  try {
    lmdb = await import('lmdb');
  } catch (error) {
    logger.warn({
      event: 'units.not_stored',
      reason: NO_PACKAGE.test(codeOf(error) ?? '')
        ? 'units are kept in memory, because the package lmdb is missing. Run npm install lmdb to keep them in STATE_DIR'
        : `units are kept in memory, because the package lmdb cannot be loaded: ${reasonOf(error)}. Install it again for this system`,
    });
    return undefined;
  }
  const path = join(stateDir, FOLDER);
  await makeFolder(path);
  if (!(await isIntact(join(path, FILE)))) await setAside(path, logger);
  const tables = openTables(lmdb, path);
  return { store: new LmdbFleetStore(tables), keeper: new LmdbRolloutKeeper(tables.rollouts) };
}

async function setAside(path: string, logger: Logger): Promise<void> {
  const aside = `${path}.broken-${Date.now()}`;
  await rename(path, aside);
  await makeFolder(path);
  logger.error({
    event: 'units.broken',
    path: aside,
    reason:
      'the file with the units is damaged. It was moved aside, and the server starts without units. Delete the folder, or restore it from a backup',
  });
}

function openTables(lmdb: Lmdb, path: string): LmdbTables {
  const root = lmdb.open({ path, encoding: 'json', maxDbs: 4, cache: false });
  return {
    root,
    units: root.openDB({ name: 'units', encoding: 'json' }),
    counts: root.openDB({ name: 'counts', encoding: 'json' }),
    rollouts: root.openDB({ name: 'rollouts', encoding: 'json' }),
  };
}
