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
}
