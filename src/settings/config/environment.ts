import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** Values of environment variables. */
export type Variables = Readonly<Record<string, string | undefined>>;

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
  /** SIGHTLINE_TOKENS_FILE */
  readonly tokensFile?: string | undefined;
  /** Where tokens are if nothing names a file: `sightline/tokens.json` in the user's configuration folder. */
  readonly defaultTokensFile?: string | undefined;
  /** OPENVINO_DIR: folder of an OpenVINO installation, used in place. */
  readonly openvinoDir?: string | undefined;
  /** PYTHON: the program that fetches wheels for a set-up. */
  readonly python?: string | undefined;
  /** CXX: the C++ compiler of a set-up. */
  readonly compiler?: string | undefined;
  /** REDIS_URL */
  readonly redisUrl?: string | undefined;
  /** REDIS_CA_FILE: certificate authorities that a rediss:// server's certificate is verified against. */
  readonly redisCaFile?: string | undefined;
  /** What ffmpeg gets of the environment; if absent, only the PATH. */
  readonly decoder?: DecoderEnvironment | undefined;
  /** All variables, for `${env:NAME}` in pipeline files. */
  readonly variables?: Variables | undefined;
  /** SIGHTLINE_FLEET_KEYS: keys that sign what the hosts of a fleet send each other; the first one signs. */
  readonly fleetKeys?: string | undefined;
}

export interface DecoderEnvironment {
  /** Libraries, locale, folder of temporary files, devices. */
  readonly general: Readonly<Record<string, string>>;
  /** Certificates, for sources on the network. ffmpeg gets a proxy of our own instead of the user's. */
  readonly network: Readonly<Record<string, string>>;
}

const SECRET_VARIABLES = ['SIGHTLINE_TOKEN', 'SIGHTLINE_FLEET_KEYS', 'REDIS_URL'] as const;

/** Removes secret settings from a process's own environment, so that no child has them. Call it once they are read. */
export function forgetSecrets(env: NodeJS.ProcessEnv): void {
  for (const name of SECRET_VARIABLES) delete env[name];
}

const GENERAL =
  /^(?:PATH|TZ|LANG|LANGUAGE|LC_\w+|(?:LD|DYLD)_LIBRARY_PATH|TMPDIR|TMP|TEMP|SYSTEMROOT|MALLOC_ARENA_MAX|(?:LIBVA|VDPAU|CUDA|NVIDIA|MFX|ONEVPL|DRI|MESA)_\w+)$/i;
/** The names that ffmpeg and its libraries know. */
const NETWORK = /^SSL_CERT_(?:FILE|DIR)$/;

/** Picks the settings out of a process's environment, which the entry points in `workers/` pass in. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): Environment {
  const folder = (value: string | undefined, name: string): string =>
    value === undefined || value === '' ? join(homeFolder(), name) : value;
  const cacheHome = folder(env.XDG_CACHE_HOME, '.cache');
  return {
    ffmpegPath: env.FFMPEG_PATH,
    searchPath: env.PATH ?? '',
    modelPath: (env.SIGHTLINE_MODEL_PATH ?? '').split(delimiter).filter((folder) => folder !== ''),
    cacheDir: env.SIGHTLINE_CACHE_DIR ?? join(cacheHome, 'sightline'),
    token: env.SIGHTLINE_TOKEN,
    tokensFile: env.SIGHTLINE_TOKENS_FILE === '' ? undefined : env.SIGHTLINE_TOKENS_FILE,
    defaultTokensFile: join(folder(env.XDG_CONFIG_HOME, '.config'), 'sightline', 'tokens.json'),
    openvinoDir: env.OPENVINO_DIR,
    python: env.PYTHON === '' ? undefined : env.PYTHON,
    compiler: env.CXX,
    redisUrl: env.REDIS_URL,
    redisCaFile: env.REDIS_CA_FILE,
    decoder: { general: matching(env, GENERAL), network: matching(env, NETWORK) },
    fleetKeys: env.SIGHTLINE_FLEET_KEYS,
    // A copy: secrets are removed from the process's own.
    variables: { ...env },
  };
}

/** The user of a container may have neither HOME nor an entry in /etc/passwd; shells and container engines then take the root, too. */
function homeFolder(): string {
  try {
    return homedir();
  } catch {
    return '/';
  }
}

function matching(env: Readonly<Record<string, string | undefined>>, names: RegExp): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value !== undefined && names.test(name) ? [[name, value]] : [])),
  );
}
