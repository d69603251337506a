import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

interface Service {
  readonly image: string;
  readonly build?: { readonly dockerfile: string };
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes: readonly string[];
  readonly restart: string;
  readonly stop_grace_period?: string;
  readonly healthcheck?: { readonly test: string };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly deploy?: {
    readonly resources: { readonly reservations: { readonly devices: readonly { readonly driver: string }[] } };
  };
}

interface ComposeFile {
  readonly services: { readonly redis: Service; readonly host: Service };
  readonly configs: { readonly valkey: { readonly content: string } };
  readonly volumes: Readonly<Record<string, null>>;
}

const text = readFileSync('compose.yaml', 'utf8');
const { services, configs, volumes } = parse(text) as ComposeFile;
const { redis, host } = services;

describe('compose.yaml', () => {
  it('pins Redis by version and digest, and builds the host', () => {
    expect(redis.image).toMatch(/:\d+\.\d+\.\d+@sha256:[0-9a-f]{64}$/);
    expect(host.build?.dockerfile).toBe('Dockerfile.gpu');
  });

  it('requires every secret, without defaults', () => {
    const secrets = [...text.matchAll(/\$\{(\w*(?:PASSWORD|TOKEN))([^}]*)\}/g)];
    const names = new Set(secrets.map(([, name]) => name));
    expect([...names].sort()).toEqual(['REDIS_PASSWORD', 'SIGHTLINE_TOKEN']);
    for (const name of names)
      expect(
        secrets.some(([, other, rest]) => other === name && rest!.startsWith(':?')),
        name,
      ).toBe(true);
    expect(secrets.filter(([, , rest]) => rest !== '' && !rest!.startsWith(':?'))).toEqual([]);
  });

  it('persists the data of Redis, and refuses writes instead of evicting keys', () => {
    const lines = configs.valkey.content.trim().split('\n');
    expect(lines.filter((line) => /^requirepass \$\{REDIS_PASSWORD\}$/.test(line))).toHaveLength(1);
    expect(lines).toContain('appendonly yes');
    expect(lines).toContain('maxmemory-policy noeviction');
    expect(redis.volumes).toEqual(['redis:/data']);
  });

  it('publishes ports on this machine only', () => {
    expect(redis.ports).toBeUndefined();
    expect(host.ports).not.toEqual([]);
    expect(host.ports!.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
  });

  it('runs a host on a GPU once Redis is healthy, restarts it, and gives it time to stop', () => {
    expect(host.command[0]).toBe('host');
    expect(host.deploy!.resources.reservations.devices.map(({ driver }) => driver)).toEqual(['nvidia']);
    expect(redis.healthcheck?.test).toContain('PONG');
    expect(host.depends_on).toEqual({ redis: { condition: 'service_healthy' } });
    expect([redis.restart, host.restart]).toEqual(['unless-stopped', 'unless-stopped']);
    expect(host.stop_grace_period).toBe('30s');
  });

  it('has a port for each of several hosts, and no fixed container name', () => {
    expect(host.ports).toEqual([expect.stringMatching(/:\d+-\d+:8080$/)]);
    expect(host).not.toHaveProperty('container_name');
  });

  it('declares every volume that is used', () => {
    const used = [redis, host].flatMap((service) => service.volumes.map((volume) => volume.split(':')[0]!));
    expect(used.filter((name) => /^\w+$/.test(name) && !(name in volumes))).toEqual([]);
  });
});
