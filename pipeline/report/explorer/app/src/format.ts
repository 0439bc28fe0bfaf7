// Numbers as texts: every value is rounded once, here.

import type { Measure } from "./contract";

export const UNDEFINED = "–";

export function share(value: number | null, digits = 0): string {
  return value === null ? UNDEFINED : `${(100 * value).toFixed(digits)}%`;
}

export function signed(value: number | null, digits: number, scale = 1): string {
  if (value === null) return UNDEFINED;
  const text = (scale * value).toFixed(digits);
  return Number(text) > 0 ? `+${text}` : Number(text) ? text : "0";
}

export function change(measure: Measure, value: number | null): string {
  if (value === null) return UNDEFINED;
  if (measure.is_relative) return `${signed(value, 1, 100)}%`;
  return signed(value, 3) + (measure.unit ? ` ${measure.unit}` : "");
}

// Value of a measure.
export function level(measure: Measure, value: number | null): string {
  if (value === null) return UNDEFINED;
  return value.toFixed(3) + (measure.unit ? ` ${measure.unit}` : "");
}

export function bound(measure: Measure, limit: number): string {
  return measure.is_relative ? share(limit) : limit.toPrecision(2) + (measure.unit ? ` ${measure.unit}` : "");
}

export function interval(measure: Measure, estimate: (number | null)[]): string {
  const [, low, high] = estimate;
  if (low === null || high === null) return "no interval";
  return measure.is_relative ? `${change(measure, low)} to ${change(measure, high)}` : `${signed(low, 3)} to ${signed(high, 3)}`;
}

export function pValue(value: number | null): string {
  return value === null ? UNDEFINED : value < 0.001 ? "< 0.001" : value.toFixed(3);
}

export function plural(count: number, thing: string, things = `${thing}s`): string {
  return `${count} ${count === 1 ? thing : things}`;
}

// Characters that hide or turn text are written as their codes.
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = (character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, "0");
    return `[U+${code}]`;
  });
}

export function csv(rows: (string | number | null)[][]): string {
  const cell = (value: string | number | null) => {
    const text = value === null ? "" : String(value);
    const inert = typeof value === "string" && /^['"\s]*[=+\-@]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
  };
  return rows.map((row) => row.map(cell).join(",") + "\n").join("");
}
