/** A Nest application of your own with OtaFlux as one of its modules: `node dist/application.js`. */
import 'reflect-metadata';
import { Controller, Get, Module, Query } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { NotificationService, OtaFluxModule, Registry, ReleaseService } from 'otaflux';
import { PlainFiles } from './plain-files.js';
import { ReleaseLog } from './release-log.js';

interface ReleaseRow {
  readonly device: string;
  readonly version: string;
  /** The notifiers that have not confirmed the release yet. */
  readonly pending: string[];
}

@Controller()
class ReleasesController {
  constructor(
    private readonly releases: ReleaseService,
    private readonly notifications: NotificationService,
    private readonly registry: Registry,
  ) {}

  /** `GET /releases`: the current release of each device that has asked. */
  @Get('releases')
  current(): ReleaseRow[] {
    return [...this.releases.knownReleases()].map(({ device, version }) => ({
      device,
      version,
      pending: this.notifications.pendingOf(device),
    }));
  }

  /** `GET /versions?device=ID`: the versions in the registry. */
  @Get('versions')
  async versions(@Query('device') device: string): Promise<string[]> {
    return this.registry.listTags(device, AbortSignal.timeout(5_000));
  }
}

@Module({
  imports: [
    OtaFluxModule.forRoot({
      // The options of the command, by variable. REGISTRY_URL is required, and not used when you pass a registry.
      options: { REGISTRY_URL: 'oci:.', REFRESH_INTERVAL: '1m' },
      registry: new PlainFiles(process.env.FIRMWARE_DIR ?? 'firmware'),
      notifiers: [new ReleaseLog(process.env.RELEASE_LOG ?? 'releases.jsonl')],
    }),
  ],
  controllers: [ReleasesController],
})
class OwnApplication {}

// Without a body parser, because the signature of a webhook covers its raw bytes.
const app = await NestFactory.create(OwnApplication, { bodyParser: false });
app.enableShutdownHooks();
await app.listen(process.env.PORT ?? 3000);
console.log(`listening on ${await app.getUrl()}`);
