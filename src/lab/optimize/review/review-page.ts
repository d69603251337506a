import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '../../../network/store/package-root.ts';
import type { ReviewFile } from './review-schema.ts';

/** Name of the page in the folder of a report. */
export const REVIEW_PAGE = 'review.html';

/** Returns the page of a review: one file that needs nothing but its pictures. */
export async function reviewPage(review: ReviewFile): Promise<string> {
  const folder = join(packageRoot(), 'web/review');
  const [html, page, verdict] = await Promise.all([
    readFile(join(folder, 'review.html'), 'utf8'),
    readFile(join(folder, 'review.js'), 'utf8'),
    readFile(compiledVerdict(), 'utf8'),
  ]);
  // A text within a script must not end it, whatever a label contains.
  const data = JSON.stringify(review).replaceAll('<', '\\u003c');
  const verdictText = `${verdict.replaceAll(/^export /gm, '').replace(/^\/\/# sourceMappingURL.*$/m, '')}
globalThis.classVerdict = { judgeClass, rangeText };
`;
  const scripts = [
    `<script type="application/json" id="review">${data}</script>`,
    `<script type="module">${verdictText}</script>`,
    `<script type="module">${page}</script>`,
  ].join('\n');
  // A function, so that no `$` in a text is replaced.
  return html.replace('<!-- scripts -->', () => scripts);
}

/** The compiled `class-verdict.ts`; that of `dist/` when this runs from the sources. */
function compiledVerdict(): URL {
  const here = import.meta.url;
  return here.endsWith('.ts')
    ? new URL('../../../../dist/src/lab/optimize/review/class-verdict.js', here)
    : new URL('class-verdict.js', here);
}
