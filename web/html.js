/** Templates of the pages that are loaded when they are opened; the wall makes its elements itself. */
export { repeat } from './vendor/lit/directives/repeat.js';
export { html, nothing, render, svg } from './vendor/lit/lit-html.js';
