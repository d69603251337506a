import { release } from 'node:os';
import type { Confinement } from '../base/process/confinement.ts';
import { type FfmpegBinary, openFfmpeg } from '../frame/decode/ffmpeg-binary.ts';
import { takesCommands } from '../frame/decode/shed-filters.ts';
import type { Environment } from '../settings/config/environment.ts';
import { type Finding, fine, missing, remark } from './finding.ts';

const BUBBLEWRAP = 'install bubblewrap (Debian: apt-get install bubblewrap); docs/secure.md says what else it needs';

/** Reports ffmpeg and what confines it on this machine, with the settings that a pipeline has by default. */
export async function examineDecoder(environment: Environment): Promise<Finding[]> {
  const notices: string[] = [];
  try {
    const ffmpeg = await openFfmpeg(environment, (text) => notices.push(text));
    return [ffmpegFinding(ffmpeg), ...confinementFindings(ffmpeg.confinement, { release: release(), notices })];
  } catch (error) {
    return [missing('ffmpeg', 'none', (error as Error).message)];
  }
}

/** The oldest version that decodes today's formats. */
const PREFERRED_MAJOR = 6;

function ffmpegFinding({ version, path, foundBy, major }: FfmpegBinary): Finding {
  const found = `${version} at ${path} (${foundBy})`;
  if (foundBy === '@ffmpeg-installer/ffmpeg')
    return remark(
      'ffmpeg',
      found,
      'from 2018, with flaws that crafted media can exploit; scales frames of overloaded cameras before it drops them: install ffmpeg 6 or later, or refuse this one with decoder.packaged: false',
    );
  if (major >= PREFERRED_MAJOR) return fine('ffmpeg', found);
  if (!takesCommands(major))
    return remark(
      'ffmpeg',
      found,
      'works; but cameras lose more frames than needed while a detector is overloaded: before version 5 they are scaled first. Install version 6 or later and set FFMPEG_PATH',
    );
  return remark(
    'ffmpeg',
    found,
    'works; version 6 or later decodes newer formats and is preferred: install one and set FFMPEG_PATH',
  );
}

/** @param release - of the kernel. @param notices - what was said while a sandbox was chosen. */
export function confinementFindings(
  confinement: Confinement,
  { release, notices }: { readonly release: string; readonly notices: readonly string[] },
): Finding[] {
  return [
    fine('decoder environment', Object.keys(confinement.environment).sort().join(', ') || 'empty'),
    limitsFinding(confinement),
    lifetimeFinding(confinement),
    sandboxFinding(confinement, release, notices),
  ];
}

function limitsFinding({ shell, memoryBytes, maxPixels }: Confinement): Finding {
  const what = 'decoder limits';
  const pixels = `pictures of ${maxPixels} pixels`;
  if (shell === null) return remark(what, `${pixels}; this system has no others`);
  const files = 'no file written, no core dump, 256 files open';
  if (memoryBytes === null) return remark(what, `${pixels}, ${files}; memory is limited on Linux only`);
  return fine(what, `${memoryBytes / 2 ** 20} MiB of memory, ${pixels}, ${files}`);
}

function lifetimeFinding({ shell, setpriv, sandbox }: Confinement): Finding {
  const what = 'decoder lifetime';
  if (setpriv !== null || sandbox?.kind === 'bwrap') return fine(what, 'the kernel kills ffmpeg when its host dies');
  if (shell !== null) return fine(what, 'a process kills ffmpeg when its host dies');
  return remark(what, 'an ffmpeg that waits for its source may outlive a host that is killed');
}

function sandboxFinding({ sandbox }: Confinement, release: string, notices: readonly string[]): Finding {
  const what = 'decoder sandbox';
  switch (sandbox?.kind) {
    case 'bwrap':
      return fine(what, 'bwrap: only the source, no network for files, no other process');
    case 'landlock':
      return hasTcpRules(release)
        ? fine(what, 'landlock: only the source, no TCP for files')
        : remark(what, 'landlock: only the source; this kernel leaves the network open', BUBBLEWRAP);
    default:
      return remark(what, notices.at(-1) ?? 'none', BUBBLEWRAP);
  }
}

/** Linux 6.7 and later. */
function hasTcpRules(release: string): boolean {
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10));
  return major > 6 || (major === 6 && minor >= 7);
}
