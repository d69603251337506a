import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** Settings from environment variables. Only `workers/` reads the environment; everything else gets this object. */
export interface Environment {
  /** FFMPEG_PATH */
  readonly ffmpegPath: string | undefined;
  /** PATH */
  readonly searchPath: string;
  /** Folders of SIGHTLINE_MODEL_PATH. */
  readonly modelPath: readonly string[];
  /** SIGHTLINE_CACHE_DIR, else the user's cache folder. */
  readonly cacheDir: string;
  /** SIGHTLINE_TOKEN */
  readonly token: string | undefined;
  /** OPENVINO_DIR: folder of an OpenVINO installation, used in place. */
  readonly openvinoDir?: string | undefined;
  /** REDIS_URL */
  readonly redisUrl?: string | undefined;
  /** REDIS_CA_FILE: certificate authorities that a rediss:// server's certificate is verified against. */
  readonly redisCaFile?: string | undefined;
  /** SIGHTLINE_FLEET_KEYS: keys that sign what members of a fleet send each other; the first one signs. */
  readonly fleetKeys?: string | undefined;
}

/** Picks the settings out of a process's environment, which the entry points in `workers/` pass in. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): Environment {
  const cacheHome =
    env.XDG_CACHE_HOME === undefined || env.XDG_CACHE_HOME === '' ? join(homedir(), '.cache') : env.XDG_CACHE_HOME;
  return {
    ffmpegPath: env.FFMPEG_PATH,
    searchPath: env.PATH ?? '',
    modelPath: (env.SIGHTLINE_MODEL_PATH ?? '').split(delimiter).filter((folder) => folder !== ''),
    cacheDir: env.SIGHTLINE_CACHE_DIR ?? join(cacheHome, 'sightline'),
    token: env.SIGHTLINE_TOKEN,
    openvinoDir: env.OPENVINO_DIR,
    redisUrl: env.REDIS_URL,
    redisCaFile: env.REDIS_CA_FILE,
    fleetKeys: env.SIGHTLINE_FLEET_KEYS,
  };
}
