export { NotificationModule, type NotificationModuleOptions } from './notification.module.js';
export { NotificationService } from './notification.service.js';
export { NotNow, Notifier, type ReleaseNotice } from './notifier.js';
