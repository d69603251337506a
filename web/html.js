/** Templates of the pages that are loaded when they are opened; the wall makes its elements itself (docs/adr/0075-templates-of-the-page.md). */
export { repeat } from './vendor/lit/directives/repeat.js';
export { html, nothing, render, svg } from './vendor/lit/lit-html.js';
