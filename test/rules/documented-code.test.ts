import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { blocksOf, DOC_PAGES } from '../support/doc-code.ts';

/** What the examples of the pages take from the program around them. */
const AROUND = `import { Sightline } from 'sightline';
type Options = NonNullable<Parameters<typeof Sightline.open>[0]>;
declare const streams: NonNullable<Options['streams']>;
declare const channel: { send(value: object): Promise<void>; end(): Promise<void> };
`;

/** Declarations of the package as it is compiled, so that the pages are checked as a user's program is. */
const TSCONFIG = {
  compilerOptions: {
    module: 'esnext',
    moduleResolution: 'bundler',
    target: 'es2023',
    types: ['node'],
    noEmit: true,
    lib: ['es2023', 'esnext.disposable', 'dom', 'dom.iterable'],
    skipLibCheck: true,
    strict: false,
    paths: {
      sightline: [resolve('dist/src/index.d.ts')],
      'sightline/client': [resolve('dist/src/wire/client/index.d.ts')],
      '/lib/client/index.js': [resolve('dist/src/wire/client/index.d.ts')],
    },
  },
  include: ['*.ts'],
};

/** The code of pages and of pages of the examples: modules of JavaScript, alone or in a page of HTML. */
function modules(): { name: string; code: string }[] {
  const blocks = DOC_PAGES.flatMap((page) => blocksOf(page).map(({ lines }) => ({ page, code: lines.join('\n') })));
  const html = readdirSync('examples').filter((name) => name.endsWith('.html'));
  const all = [
    ...blocks.filter(({ code }) => /^import .* from '|^await |<script type="module">/m.test(code)),
    ...html.map((name) => ({ page: join('examples', name), code: readFileSync(join('examples', name), 'utf8') })),
  ];
  return all.map(({ page, code }, i) => ({
    name: `${page.replaceAll(/[/.]/g, '-')}-${i}.ts`,
    code: /<script type="module">(.*)<\/script>/s.exec(code)?.[1] ?? code,
  }));
}

it('the code in README and docs, and in the pages of the examples, has the types of the package', () => {
  mkdirSync('.cache', { recursive: true });
  const folder = mkdtempSync('.cache/documented-code-');
  try {
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(TSCONFIG));
    const found = modules();
    expect(found.map(({ name }) => name.replace(/-md-\d+\.ts$/, ''))).toEqual(
      expect.arrayContaining(['README', 'docs-library', 'docs-client']),
    );
    for (const { name, code } of found) {
      // An example without imports stands on a program around it.
      const around = /^import /m.test(code) ? '' : AROUND;
      writeFileSync(join(folder, name), `${around}${code}\nexport {};\n`);
    }
    const { stdout } = spawnSync(process.execPath, [resolve('node_modules/typescript/bin/tsc'), '-p', folder], {
      encoding: 'utf8',
    });
    expect(stdout).toBe('');
  } finally {
    rmSync(folder, { recursive: true });
  }
});
