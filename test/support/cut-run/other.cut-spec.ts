import { it } from '@jest/globals';

/** Beside another file, so that Jest uses workers. */
it('is there', () => undefined);
