export { Assessor } from './assessor.js';
export { TOLD_MS } from './current-releases.js';
export { FirmwareLocator, type Packing } from './firmware-locator.js';
export { FirmwareModule } from './firmware.module.js';
export { Release, type ReleaseChanged, type ReleaseStanding } from './release.js';
export { repositoryPrefix } from './repository-prefix.js';
export { Watcher } from './watcher.js';
export { ReleaseService } from './release-service.js';
export { compareVersions, newestFirst, versionOf, type Candidate } from './select-version.js';
