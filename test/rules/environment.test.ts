import { existsSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { forgetSettings } from '../support/before-all.ts';

describe('the environment of tests', () => {
  it('has none of the settings of the user', () => {
    const names = Object.keys(process.env).filter((name) => /^(?:SIGHTLINE|REDIS|NODE_OPTIONS|npm)_?/i.test(name));
    const kept = ['SIGHTLINE_SHARED', 'SIGHTLINE_TEST_REPORT', 'SIGHTLINE_CACHE_DIR'];
    expect(names.filter((name) => !kept.includes(name) && !name.toLowerCase().startsWith('npm_config_'))).toEqual([]);
    expect(existsSync(process.env.XDG_CONFIG_HOME!)).toBe(true);
    expect(readdirSync(process.env.XDG_CONFIG_HOME!).filter((name) => name === 'sightline')).toEqual([]);
  });

  it('keeps places, and how packages are fetched', () => {
    const kept = {
      PATH: '/bin',
      FFMPEG_PATH: '/ffmpeg',
      SIGHTLINE_SHARED: '/shared',
      SIGHTLINE_CACHE_DIR: '/cache',
      npm_config_registry: 'https://registry.example',
      npm_config_https_proxy: 'http://proxy.example',
    };
    const settings = {
      SIGHTLINE_MODEL_PATH: '/models',
      SIGHTLINE_TOKEN: 'a',
      SIGHTLINE_TOKENS_FILE: '/b',
      SIGHTLINE_FLEET_KEYS: 'c',
      REDIS_URL: 'redis://:d@localhost',
      REDIS_CA_FILE: '/e',
      NODE_OPTIONS: '--inspect',
      npm_config_omit: 'dev',
    };
    const env: NodeJS.ProcessEnv = { ...kept, ...settings };
    forgetSettings(env);
    expect(env).toEqual(kept);
  });
});
