import { Module, type DynamicModule } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { GraceTime } from './grace-time.js';
import { parseSettings, Settings } from './settings.js';
import type { GivenValues } from './sources.js';

const KEY = 'otaflux';

/** Provides Settings to every module. */
@Module({})
export class SettingsModule {
  /** Settings from `given`, validated by `@nestjs/config`; rejects with ConfigError. */
  static forRoot(given: GivenValues): DynamicModule {
    return {
      module: SettingsModule,
      global: true,
      imports: [
        ConfigModule.forRoot({
          ignoreEnvFile: true,
          ignoreEnvVars: true,
          skipProcessEnv: true,
          // Under one key, because ConfigModule copies plain values into process.env, where secrets have no place.
          validate: () => ({ [KEY]: parseSettings(given) }),
        }),
      ],
      providers: [
        {
          provide: Settings,
          useFactory: (config: ConfigService) => config.getOrThrow<Settings>(KEY),
          inject: [ConfigService],
        },
        GraceTime,
      ],
      exports: [Settings, GraceTime],
    };
  }
}
