export type { RepositoryChange } from './repository-change.js';
export { WebhookModule, type WebhookModuleOptions } from './webhook.module.js';
export { WebhookSecrets } from './webhook-secrets.js';
export { WebhookSource } from './webhook-source.js';
