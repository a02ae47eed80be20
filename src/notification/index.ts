export { NotificationModule, type NotificationModuleOptions } from './notification.module.js';
export { NotificationService } from './notification.service.js';
export { NotNow, Notifier, payloadOf, type NoticedRelease, type ReleaseNotice } from './notifier.js';
