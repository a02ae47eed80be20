export type { RepositoryChange } from './repository-change.js';
export { RefreshQueue } from './refresh-queue.js';
export { WEBHOOK_SOURCES } from './webhook.controller.js';
export { WebhookModule, type WebhookModuleOptions } from './webhook.module.js';
export { WebhookSecrets } from './webhook-secrets.js';
export { WebhookSource } from './webhook-source.js';
