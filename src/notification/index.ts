export { NotificationModule, type NotificationModuleOptions } from './notification.module.js';
export { Notifier, payloadOf, type ReleaseNotice } from './notifier.js';
