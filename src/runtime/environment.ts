/** What the surroundings say; read from the environment in `workers/` alone and passed down. */
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
  /** REDIS_URL */
  readonly redisUrl?: string | undefined;
  /** REDIS_CA_FILE: authorities that a rediss:// server's certificate is checked by. */
  readonly redisCaFile?: string | undefined;
}
