// What a mask breaks: predictions with and without it, of one head or of a group, measured or estimated.

import type { View } from "./address";
import type { GroupEstimates } from "./estimate";
import type { Model } from "./model";

export interface Breaking {
  name: string;
  isEstimate: boolean;
  pairs: number[]; // positions in the explorer's pairs
  before: Uint8Array; // of each of `pairs`
  after: Uint8Array;
}

export function breaking(model: Model, estimates: GroupEstimates, view: View): Breaking {
  return view.scope === "group" && view.group.length ? ofGroup(model, estimates, view.group) : ofHead(model, view.head);
}

function ofHead(model: Model, head: number): Breaking {
  return {
    name: `head ${model.short(head)}`,
    isEstimate: false,
    pairs: model.data.pairs.gold.map((_, pair) => pair),
    before: model.predictions(null),
    after: model.predictions(head),
  };
}

function ofGroup(model: Model, estimates: GroupEstimates, heads: number[]): Breaking {
  const pairs = model.data.predictions.group_pairs;
  const measured = estimates.measured(heads);
  const row = (number: number) => model.groupPredicted.subarray(number * pairs.length, (number + 1) * pairs.length);
  return {
    name: measured ? `the group ${measured.name}` : "the group",
    isEstimate: measured === null,
    pairs,
    before: row(0),
    after: measured ? row(1 + model.data.groups.indexOf(measured)) : estimates.predictions(heads),
  };
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
