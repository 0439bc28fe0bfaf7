// The view as part of the page's address, where the page may change it (a sandboxed frame may not).

import type { HeadChange } from "./contract";
import type { Model } from "./model";

export type Phase = "before" | "after" | "grew" | "shrank";
export type Shown = "changed" | "worse" | "better" | "all";

export type Aspect = HeadChange["what"] | "all";

// What may be chosen, with its label.
export const PHASES: [Phase, string][] = [
  ["before", "before fine-tuning"],
  ["after", "after"],
  ["grew", "what grew"],
  ["shrank", "what shrank"],
];
export const FILTERS: [Shown, string][] = [
  ["changed", "all that change"],
  ["worse", "worse"],
  ["better", "better"],
  ["all", "changed or not"],
];
export const ASPECTS: [Aspect, string][] = [
  ["all", "all that change"],
  ["verdict", "verdict"],
  ["labels", "labels"],
  ["decision", "decision"],
];

export interface View {
  run: number; // the one shown, of two
  by: string;
  head: number;
  group: number[]; // sorted
  scope: "head" | "group"; // what the breaking pairs are of
  map: number; // position in `maps`
  phase: Phase;
  special: boolean; // whether [CLS] and [SEP] are drawn
  shown: Shown;
  search: string;
  aspect: Aspect; // of heads that changed between two runs
  headSearch: string;
  moved: Shown; // `shown` and `search` of the pairs of two runs
  pairSearch: string;
}

// A view from its values; `by`: the colouring without one.
export function readView(models: Model[], by: string, values: URLSearchParams): View {
  const run = values.get("run") === "second" && models.length > 1 ? 1 : 0;
  const model = models[run];
  const head = model.numberOf(values.get("head") ?? "");
  const row = Number(values.get("pair") ?? "-1");
  const pair = model.data.pairs.rows.indexOf(row);
  const group = (values.get("group") ?? "").split(",").map((short) => model.numberOf(short));
  const chosen = <Choice extends string>(choices: [Choice, string][], name: string, otherwise = choices[0][0]) =>
    choices.find(([choice]) => choice === values.get(name))?.[0] ?? otherwise;
  return {
    run,
    by: values.get("by") ?? by,
    head: head ?? mostNeeded(model),
    group: [...new Set(group.filter((number): number is number => number !== null))].sort((a, b) => a - b),
    scope: values.get("scope") === "group" ? "group" : "head",
    map: Math.max(0, model.data.maps.findIndex((map) => map.pair === pair)),
    phase: chosen(PHASES, "phase", "after"),
    special: values.get("special") === "1",
    shown: chosen(FILTERS, "shown"),
    search: values.get("search") ?? "",
    aspect: chosen(ASPECTS, "aspect"),
    headSearch: values.get("heads") ?? "",
    moved: chosen(FILTERS, "moved"),
    pairSearch: values.get("pairs") ?? "",
  };
}

export function viewValues(models: Model[], view: View): URLSearchParams {
  const model = models[view.run];
  const map = model.data.maps[view.map];
  const values = new URLSearchParams({
    by: view.by,
    head: model.short(view.head),
    group: view.group.map((head) => model.short(head)).join(","),
    scope: view.scope,
    pair: map ? String(model.data.pairs.rows[map.pair]) : "",
    phase: view.phase,
    special: view.special ? "1" : "",
    shown: view.shown,
    search: view.search,
    run: view.run ? "second" : "",
    aspect: models.length > 1 ? view.aspect : "",
    heads: view.headSearch,
    moved: models.length > 1 ? view.moved : "",
    pairs: view.pairSearch,
  });
  for (const [name, value] of [...values]) if (!value) values.delete(name);
  return values;
}

export function writeAddress(values: URLSearchParams): void {
  try {
    history.replaceState(null, "", `#${values}`);
  } catch {
    // The page works without.
  }
}

// The head whose masking costs most of the measure that decides verdicts.
function mostNeeded(model: Model): number {
  const place = model.data.measures.findIndex((measure) => measure.name === model.data.run.primary);
  const costs = model.data.heads.map((head) => head.effects[place].to_constant ?? -Infinity);
  return costs.indexOf(Math.max(...costs));
}
