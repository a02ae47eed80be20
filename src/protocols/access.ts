/**
 * `allowed`: the credentials are valid for the device. `unknown`: no valid credentials. `other`: valid credentials of
 * another device.
 */
export type Access = 'allowed' | 'unknown' | 'other';
