import { SightlineClient } from './lib/client/index.js';

/** Where this page is, which a proxy may serve below a path. */
export const PAGE_URL = new URL('.', location.href).href;

/** Requests to the gateway of this page. It opens no feed. */
export const gateway = new SightlineClient({ url: PAGE_URL });
