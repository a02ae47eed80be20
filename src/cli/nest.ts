/** The Nest that the server runs on, for the decorators of plug-ins (`plugin-hooks.ts`). */
export * from '@nestjs/common';
