export { GraceTime } from './grace-time.js';
export { givenBy, SettingsModule, type AsyncGiven, type PlainValues } from './settings.module.js';
