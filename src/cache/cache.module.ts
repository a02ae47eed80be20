import { Module, type DynamicModule, type Type } from '@nestjs/common';
import { Settings } from '../config/index.js';
import { CacheMeter } from '../metrics/index.js';
import { demandFolder } from '../usable-folder.js';
import { FirmwareStore } from './firmware-store.js';
import { TieredStore } from './tiered-store.js';

/** Options of CacheModule. */
export interface CacheModuleOptions {
  /** Your own store instead of memory and disk. */
  store?: Type<FirmwareStore>;
}

/** Provides FirmwareStore: the built-in store in memory and CACHE_DIR, or yours. */
@Module({})
export class CacheModule {
  static forRoot({ store }: CacheModuleOptions = {}): DynamicModule {
    return {
      module: CacheModule,
      providers: [
        store
          ? { provide: FirmwareStore, useClass: store }
          : { provide: FirmwareStore, useFactory: createStore, inject: [Settings, CacheMeter] },
      ],
      exports: [FirmwareStore],
    };
  }
}

async function createStore(settings: Settings, meter: CacheMeter): Promise<FirmwareStore> {
  if (settings.cacheDir !== undefined) await demandFolder('--cache-dir', settings.cacheDir);
  const store = new TieredStore({
    maxEntries: settings.cacheSize,
    memoryBytes: settings.cacheMemory,
    checksum: settings.checksum,
    directory: settings.cacheDir,
    diskBytes: settings.cacheDisk,
    onDiskFailure: () => {
      meter.diskFailed();
    },
  });
  meter.observe(() => store.sample());
  await store.start();
  return store;
}
