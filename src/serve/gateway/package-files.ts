import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { packageRoot } from '../../network/store/package-root.ts';

export interface PackageFiles {
  /** Version of Sightline, from its package.json. */
  readonly version: string;
  /** Folder with the dashboard's `index.html`. */
  readonly webDir: string;
  /** Folder with uPlot's browser build and style sheet. */
  readonly uplotDir: string;
  /** Folder with the modules of MessagePack. */
  readonly msgpackDir: string;
  /** Folder with the modules of lit-html. */
  readonly litDir: string;
  /** Folder with the compiled sources. */
  readonly libDir: string;
}

/** Finds the files that the gateway serves from the package, whether it runs from `src/` or from `dist/`. */
export function findPackageFiles(): PackageFiles {
  const root = packageRoot();
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const require = createRequire(import.meta.url);
  return {
    version: manifest.version,
    webDir: join(root, 'web'),
    libDir: join(root, 'dist/src'),
    uplotDir: dirname(require.resolve('uplot')),
    // Its entry for Node.js is `node/lit-html.js`; browsers get the files beside that folder.
    litDir: join(dirname(require.resolve('lit-html')), '..'),
    // Its entry is `dist.cjs/index.cjs`; browsers need the folder beside it.
    msgpackDir: join(dirname(require.resolve('@msgpack/msgpack')), '..', 'dist.esm'),
  };
}
