export { connectEvents } from './connect-events.js';
export { EventContext, type EventMessage } from './event-message.js';
export { EventsModule } from './events.module.js';
