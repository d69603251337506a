import { SightlineClient } from '/lib/client/index.js';

/** Requests to the gateway of this page. It opens no feed. */
export const gateway = new SightlineClient({ url: location.origin });
