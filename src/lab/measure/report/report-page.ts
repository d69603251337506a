import { type Content, Html, html, type Tone } from './html.ts';
import { REPORT_STYLE } from './report-style.ts';

/** Nothing is loaded and nothing runs, whatever a name in the report contains. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'";

/** Makes one page that needs no network and no script. @param tone - of its head: only a good report has a green one. */
export function reportPage({
  title,
  tone,
  body,
}: {
  readonly title: string;
  readonly tone: Tone;
  readonly body: Content;
}): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${title}</title>
<style>${new Html(REPORT_STYLE)}</style>
</head>
<body class="${tone}">
<main>
${body}
</main>
</body>
</html>
`.source;
}
