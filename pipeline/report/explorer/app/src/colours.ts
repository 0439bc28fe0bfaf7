// Colours of cells, safe for colour-blind readers: red is lost, blue gained, purple how much; kinds as in the figures.

import type { Colouring } from "./colourings";
import type { Head } from "./contract";

export const LOST = "#b2182b";
export const GAINED = "#2166ac";
export const AMOUNT = "#54278f";
// The figures' categories (Okabe and Ito, their yellow darkened), then two greys.
export const KINDS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a6a00", "#5f6670", "#b9bec6"];
const DARK_TEXT = "#000";
const WHITE = "#fff";
const MIDDLE = "var(--on-middle)"; // of cells between the page's own colour and a pole
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
    return { pole, share: 1, text: ["#0072b2", "#7a6a00", "#5f6670"].includes(pole) ? WHITE : DARK_TEXT };
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
  const parts = [1, 3, 5].map((start) => parseInt(pole.slice(start, start + 2), 16));
  return `rgb(${parts.map((part) => Math.round(247 + share * (part - 247))).join(",")})`;
}
