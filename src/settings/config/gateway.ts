import { z } from 'zod';
import { range, whole } from './number.ts';
import { parseNetwork } from './parse-network.ts';
import { mark } from './schema-text.ts';

/** The first part of paths of the gateway itself: below such a path, both would mean the same. */
const OWN_PATHS = /^\/(?:api|ws|lib|vendor|metrics|healthz|readyz|sign-in|sign-out)(?:\/|$)/;

const tlsConfig = z.strictObject({
  cert: z.string().min(1).describe('PEM file with the certificate and its intermediates.'),
  key: z
    .string()
    .min(1)
    .meta(mark({ secret: false }))
    .describe('PEM file with its private key.'),
});

const auditConfig = z.strictObject({
  path: z
    .string()
    .min(1)
    .optional()
    .describe(
      'JSONL file of who changed what; sign-ins, clients of the feed and refusals are beside it, in NAME-visits. If absent, NAME-PORT.jsonl in the folder audit of the cache.',
    ),
  maxMb: whole(1, 10_000)
    .default(16)
    .describe(
      'Most megabytes of all its files together, a quarter of them for visits; older ones have .1 at the end of their names.',
    ),
});

const headerName = z.string().regex(/^[A-Za-z0-9-]{1,64}$/, 'expected the name of a header');

const groupConfig = z.strictObject({
  name: z.string().min(1).describe('Name of the group, as the proxy sends it.'),
  role: z.enum(['metrics', 'viewer', 'operator', 'admin']).describe('What its users may do.'),
  streams: z.array(z.string().min(1)).optional().describe('Ids of the only streams that they see; all if absent.'),
});

const proxyUsersConfig = z.strictObject({
  userHeader: headerName.default('Remote-User').describe('Header with the name of the user.'),
  groupsHeader: headerName
    .default('Remote-Groups')
    .describe('Header with the groups of the user, separated by commas.'),
  groups: z
    .array(groupConfig)
    .min(1)
    .max(1000)
    .describe('Which groups may do what; of several that a user is in, those with the highest role count.'),
});

export const gatewayConfig = z
  .strictObject({
    host: z
      .string()
      .min(1)
      .default('127.0.0.1')
      .describe('Address to listen on; any other than the loopback needs a token.'),
    port: whole(0, 65_535)
      .default(8080)
      .describe('Port of dashboard, WebSocket, REST and metrics; 0 takes a free one.'),
    basePath: z
      .string()
      .regex(/^(?:\/[A-Za-z0-9][\w.~-]*)+$/, 'expected a path such as "/cams", without a slash at its end')
      .refine((path) => !OWN_PATHS.test(path), 'expected a path that the gateway does not use itself')
      .optional()
      .describe(
        'Path below which a proxy serves the gateway and which it passes on, such as "/cams". One that removes the path needs no setting.',
      ),
    publicUrl: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe(
        'Address at which people reach the gateway, with its base path; links in messages begin with it. If the gateway listens on all addresses or the loopback, its fleet knows it by this one.',
      ),
    tokensFile: z
      .string()
      .min(1)
      .optional()
      .describe('File of the access tokens, written by sightline tokens; SIGHTLINE_TOKENS_FILE if absent.'),
    tls: tlsConfig.optional().describe('Serves HTTPS; both files are read again when they change.'),
    allowedOrigins: z
      .array(z.string().refine(isOrigin, 'expected an origin such as "https://video.example"'))
      .default([])
      .describe('Origins beside the own one that may open the feed and change something, such as that of a proxy.'),
    frameAncestors: z
      .array(z.string().refine(isOrigin, 'expected an origin such as "https://home.example"'))
      .default([])
      .describe(
        'Origins of the pages that may show the dashboard in a frame; only from the same site does it stay signed in.',
      ),
    trustedProxies: z
      .array(
        z
          .string()
          .refine((text) => parseNetwork(text) !== null, 'expected an address or a network such as "10.0.0.0/8"'),
      )
      .default([])
      .describe('Addresses and networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.'),
    proxyUsers: proxyUsersConfig
      .optional()
      .describe('Users whom a proxy of `trustedProxies` has signed in, by its headers; others need a token.'),
    audit: auditConfig.prefault({}).describe('The record of who did what over HTTP.'),
  })
  .refine(({ proxyUsers, trustedProxies }) => proxyUsers === undefined || trustedProxies.length > 0, {
    path: ['trustedProxies'],
    message: 'expected the addresses of the proxies whose users gateway.proxyUsers are (trustedProxies)',
  });

export type GatewayConfig = z.infer<typeof gatewayConfig>;

export const previewConfig = z.strictObject({
  fps: range(0.1, 30).default(5).describe('Most pictures per second of a stream that a client watches.'),
  width: whole(64, 1920).default(640).describe('Largest width in pixels.'),
  quality: whole(1, 100)
    .default(72)
    .describe('JPEG quality; at 50 a picture has about two thirds of the bytes that it has at 72.'),
  picture: z
    .enum(['model', 'source'])
    .default('model')
    .describe(
      "model shows the model's input, at no extra cost; source keeps a full picture of `width`, from which sharp makes the input.",
    ),
});

export type PreviewConfig = z.infer<typeof previewConfig>;

function isOrigin(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).origin === text;
}
