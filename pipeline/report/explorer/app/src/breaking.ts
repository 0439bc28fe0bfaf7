// What a mask breaks: predictions with and without it, of one head or of a group, measured or estimated.

import type { View } from "./address";
import type { CommonPairs } from "./contract";
import type { GroupEstimates } from "./estimate";
import { csv } from "./format";
import type { Model } from "./model";

export interface Breaking {
  id: string; // before those of the elements that show it
  name: string;
  lead: string; // what the tally begins with
  states: [before: string, after: string];
  pairs: number[]; // positions in the explorer's pairs
  before: ArrayLike<number>; // of each of `pairs`
  after: ArrayLike<number>;
  fates(place: number): number; // of rankers: below 0 where nDCG@10 of a pair's query falls, above 0 where it rises
}

const STATES: Breaking["states"] = ["with it", "without"];

export function breaking(model: Model, estimates: GroupEstimates, view: View): Breaking {
  return view.scope === "group" && view.group.length ? ofGroup(model, estimates, view.group) : ofHead(model, view.head);
}

function ofHead(model: Model, head: number): Breaking {
  const { query, queries, gold } = model.data.pairs;
  const name = `head ${model.short(head)}`;
  return {
    id: "",
    name,
    lead: `Without ${name}`,
    states: STATES,
    pairs: gold.map((_, pair) => pair),
    before: model.predictions(null),
    after: model.predictions(head),
    fates: (pair) => model.queryChanges[head * queries.length + query[pair]],
  };
}

function ofGroup(model: Model, estimates: GroupEstimates, heads: number[]): Breaking {
  const pairs = model.data.predictions.group_pairs;
  const measured = estimates.measured(heads);
  const row = (number: number) => model.groupPredicted.subarray(number * pairs.length, (number + 1) * pairs.length);
  const { query, queries } = model.data.pairs;
  const place = measured ? model.data.groups.indexOf(measured) : -1;
  const name = measured ? `the group ${measured.name}` : "the group";
  return {
    id: "",
    name,
    lead: `Without ${name}${measured ? "" : " (estimate)"}`,
    states: STATES,
    pairs,
    before: row(0),
    after: measured ? row(1 + place) : estimates.predictions(heads),
    fates: measured ? (pair) => model.groupQueryChanges[place * queries.length + query[pairs[pair]]] : estimates.fates(heads),
  };
}

// What the whole models of two runs predict of the pairs that both have, from the first run to the second.
export function betweenRuns({ first, second, before, after, query_changes: changes }: CommonPairs, run: number): Breaking {
  return {
    id: "run-",
    name: "",
    lead: "From the first run to the second",
    states: ["first run", "second run"],
    pairs: run ? second : first,
    before,
    after,
    fates: (place) => changes?.[place] ?? 0,
  };
}

export interface Row {
  pair: number;
  before: number;
  after: number;
}

export function pairsCsv(model: Model, rows: Row[]): string {
  const { queries, query, titles, gold, rows: places } = model.data.pairs;
  const cells = rows.map(({ pair, before, after }) => [
    places[pair],
    queries[query[pair]],
    titles[pair],
    model.gradeText(gold[pair]),
    ...[before, after].map((value) => (model.isRanker ? value : model.gradeText(value))),
  ]);
  return csv([["row", "query", "title", "gold", "before", "after"], ...cells]);
}

// Whether all words of a search stand in a pair's texts; "column=value" asks for a slice.
export function matcher(model: Model, search: string): (pair: number) => boolean {
  const { queries, query, titles, slices } = model.data.pairs;
  const words = search.toLowerCase().match(/[^\s=]+=.*$|\S+/g) ?? [];
  return (pair) =>
    words.every((word) => {
      const [column, value] = word.split(/=(.*)/s);
      if (column in slices && value !== undefined) return slices[column][pair].toLowerCase() === value;
      return `${queries[query[pair]]} ${titles[pair]}`.toLowerCase().includes(word);
    });
}

export type Fate = "worse" | "better" | "other" | "same";

export function gradeFate(gold: number, before: number, after: number): Fate {
  if (before === after) return "same";
  return before === gold ? "worse" : after === gold ? "better" : "other";
}
