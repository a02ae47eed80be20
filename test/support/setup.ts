import { afterAll } from '@jest/globals';
import { stopLeftovers } from './leftovers.js';

afterAll(stopLeftovers);
