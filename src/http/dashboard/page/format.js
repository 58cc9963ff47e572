// @ts-check
// The text of messages as nodes: WhatsApp's marks and links. Nothing here makes HTML from text.
import { html } from './vendor.js';

const LINK = /https?:\/\/[^\s<>"'`]+/g;
/** Opening and closing marks stand at the edge of a word, as in WhatsApp. */
const MARK = /(^|[\s.,;:!?¡¿(["'])([*_~])(?=\S)([^\n]*?\S)\2(?=$|[\s.,;:!?)\]"'])|```([\s\S]+?)```|`([^`\n]+)`/;
const TAGS = /** @type {Record<string, string>} */ ({ '*': 'strong', _: 'em', '~': 's' });
const DEEPEST = 4;

/** @param {string} text @param {number} [depth] @returns {unknown[]} */
export function rich(text, depth = 0) {
  /** @type {unknown[]} */
  const nodes = [];
  let rest = text;
  while (rest && depth < DEEPEST) {
    const found = MARK.exec(rest);
    if (!found) break;
    nodes.push(...linked(rest.slice(0, found.index) + (found[1] ?? '')));
    const [whole, , mark, marked, block, code] = found;
    const tag = TAGS[mark];
    if (tag) nodes.push(html`<${tag}>${rich(marked, depth + 1)}<//>`);
    else nodes.push(html`<code>${block ?? code}</code>`);
    rest = rest.slice(found.index + whole.length);
  }
  nodes.push(...linked(rest));
  return nodes;
}

/** @param {string} text */
function linked(text) {
  const nodes = [];
  let from = 0;
  for (const found of text.matchAll(LINK)) {
    const address = found[0].replace(/[.,;:!?)\]]+$/, '');
    const url = parsed(address);
    if (!url) continue;
    nodes.push(text.slice(from, found.index));
    nodes.push(html`<a href=${url} target="_blank" rel="noopener noreferrer nofollow">${address}</a>`);
    from = found.index + address.length;
  }
  nodes.push(text.slice(from));
  return nodes.filter((node) => node !== '');
}

/** Returns the address if it is one of the web. @param {string} address */
export function parsed(address) {
  try {
    const url = new URL(address);
    return url.protocol === 'http:' || url.protocol === 'https:' ? url.href : null;
  } catch {
    return null;
  }
}

/** Returns the links of a text. @param {string} text */
export const linksOf = (text) => [...text.matchAll(LINK)].map((it) => parsed(it[0].replace(/[.,;:!?)\]]+$/, ''))).filter((it) => it !== null);

/** Reads the names and numbers of contact cards. @param {string} vcard */
export function cards(vcard) {
  const lines = vcard.replace(/\r?\n[ \t]/g, '').split(/\r?\n/);
  /** @type {{name: string, numbers: string[]}[]} */
  const found = [];
  for (const line of lines) {
    const [key, ...value] = line.split(':');
    const name = key.split(';')[0].split('.').pop()?.toUpperCase();
    if (name === 'BEGIN') found.push({ name: '', numbers: [] });
    const card = found[found.length - 1];
    if (!card) continue;
    const text = value.join(':').replace(/\\([,;\\])/g, '$1').replace(/\\n/gi, ' ').trim();
    if (name === 'FN') card.name = text;
    if (name === 'TEL') card.numbers.push(text);
  }
  return found.slice(0, 20);
}
