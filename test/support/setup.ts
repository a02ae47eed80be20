import { afterAll } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { stopLeftovers } from './leftovers.js';

// What a part of the service logs in a test without a service.
Logger.overrideLogger(false);

afterAll(stopLeftovers);
