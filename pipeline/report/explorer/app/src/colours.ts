// Colours of cells, safe for colour-blind readers: red is lost, blue gained, purple how much; kinds as in the figures.
// pipeline/report/colours.py is their source; a test holds the two together.

import type { Colouring } from "./colourings";
import type { Head } from "./contract";

export const LOST = "#b2182b";
export const GAINED = "#2166ac";
export const AMOUNT = "#54278f";
// The functions' colours (Tol's muted ones) by their place; those of other kinds begin anew.
export const KINDS = ["#332288", "#cc6677", "#117733", "#44aa99", "#999933", "#88ccee", "#ddcc77", "#882255", "#aa4499"];
const DARK_TEXT = "#000";
const WHITE = "#fff";
const MIDDLE = "var(--on-middle)"; // of cells between the page's own colour and a pole
const EQUAL_CONTRAST = 0.179; // luminance on which black and white text have the same contrast
const FAINT = 0.35; // share of a pole up to which text on it is the page's own
const STRONG: Record<string, number> = { [LOST]: 0.75, [GAINED]: 0.88, [AMOUNT]: 0.69 }; // from which it is white

export interface CellColour {
  pole: string;
  share: number; // of the pole, the rest is the page's own cell colour
  text: string | null; // null: the page's own
}

export function cellColour(colouring: Colouring, head: Head): CellColour {
  const value = colouring.value(head);
  if (value === null) return { pole: LOST, share: 0, text: null };
  if (colouring.scale === "kind") {
    const pole = KINDS[value % KINDS.length];
    return { pole, share: 1, text: luminance(pole) < EQUAL_CONTRAST ? WHITE : DARK_TEXT };
  }
  const share = Math.min(1, Math.abs(value) / colouring.limit) ** 0.7;
  const pole = colouring.scale === "amount" ? AMOUNT : value > 0 ? LOST : GAINED;
  return { pole, share, text: share > STRONG[pole] ? WHITE : share > FAINT ? MIDDLE : null };
}

export function background({ pole, share }: CellColour): string {
  return `color-mix(in srgb, ${pole} ${Math.round(100 * share)}%, var(--cell))`;
}

// The same on white, for pictures.
export function onWhite({ pole, share }: CellColour): string {
  return `rgb(${channels(pole).map((part) => Math.round(247 + share * (part - 247))).join(",")})`;
}

// Relative luminance of WCAG, 0 to 1.
function luminance(colour: string): number {
  const linear = channels(colour).map((part) => (part <= 10 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

function channels(colour: string): number[] {
  return [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));
}
