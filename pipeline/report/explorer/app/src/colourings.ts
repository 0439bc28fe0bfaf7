// What the grid's cells may be coloured by.

import type { Effect, Explorer, Head, Measure } from "./contract";
import * as format from "./format";
import type { Model } from "./model";

export const VERDICTS = { needed: "N", harmful: "H", small: "s", "no effect": "0", undecided: "?" } as const;
export const DECISIONS = { remove: "R", keep: "K", protected: "P", uncertain: "?" } as const;
export const FUNCTION_NAMES: Record<string, [code: string, name: string]> = {
  term_match: ["TM", "same term in the other text"],
  segmentation: ["SG", "other pieces of its word"],
  previous_term: ["PT", "word before"],
  next_term: ["NT", "word after"],
  self: ["SF", "the token itself"],
  cls: ["CL", "[CLS]"],
  sep: ["SP", "[SEP]"],
  cross_text: ["XT", "the other text"],
  entropy: ["EN", "many tokens evenly"],
};

export interface Colouring {
  id: string;
  group: string;
  label: string;
  scale: "change" | "amount" | "kind" | "difference";
  unit: string; // of the numbers in the cells
  value(head: Head): number | null; // above 0 is worse, of changes; place of its kind, of kinds
  text(head: Head): string; // in the cell
  words(head: Head): string; // to be read out
  kinds: [code: string, name: string][]; // of kinds, by place
  limit: number; // value of the strongest colour
}

type Draft = Omit<Colouring, "kinds" | "limit"> & Partial<Pick<Colouring, "kinds">>;

// Of a run; of two, what the second has more or less by each of `common`, measures of both.
export function colourings(model: Model, runs: Explorer[] = [], common: string[] = []): Colouring[] {
  const { data } = model;
  const drafts = [
    ...common.map((name) => ofDifference(model.measure(name), runs)),
    ...data.measures.map((measure, place) => ofEffect("effect of masking", measure, measure.name, (head) => head.effects[place])),
    ...ofUnlabelled(model),
    ...kindsOfHeads(model),
    {
      id: "importance",
      group: "other",
      label: "gradient importance",
      scale: "amount" as const,
      unit: "nats",
      value: (head: Head) => head.gradient_importance,
      text: (head: Head) => head.gradient_importance?.toFixed(2) ?? format.UNDEFINED,
      words: (head: Head) => `gradient importance ${head.gradient_importance?.toFixed(3) ?? "undefined"}`,
    },
    ...data.functions.map((name, place) => ofScore(name, place)),
    ...(data.run.has_before ? data.functions.map((name, place) => ofShift(name, place)) : []),
  ];
  return drafts.map((draft) => withLimit(draft, data.heads));
}

function withLimit(draft: Draft, heads: Head[]): Colouring {
  const sizes = heads.map((head) => Math.abs(draft.value(head) ?? 0));
  return { kinds: [], ...draft, limit: Math.max(...sizes) || 1 };
}

// What the effect of masking a head is in the second run beyond the first.
function ofDifference(measure: Measure, runs: Explorer[]): Draft {
  const places = runs.map(({ measures }) => measures.findIndex(({ name }) => name === measure.name));
  const effects = (head: Head) => runs.map((run, which) => run.heads[head.layer * run.run.heads + head.head].effects[places[which]].change);
  const difference = (head: Head) => {
    const [first, second] = effects(head);
    return differenceOf(first, second);
  };
  return {
    id: `difference.${measure.name}`,
    group: "two runs",
    label: `${measure.label}: difference to the second run`,
    scale: "difference",
    unit: `second run minus first: ${unitOf(measure)}`,
    value: (head) => signedHarm(measure, difference(head)[0]),
    text: (head) => cellText(measure, difference(head)[0]),
    words: (head) => {
      const [first, second, more] = [...effects(head), difference(head)].map((effect) => format.change(measure, effect[0]));
      return `${measure.label} ${first} in the first run, ${second} in the second, difference ${more} (${format.interval(measure, difference(head))})`;
    },
  };
}

// Second minus first with its 95% interval, as pipeline/compare/diff.py makes it of two independent estimates.
function differenceOf(first: (number | null)[], second: (number | null)[]): (number | null)[] {
  if ([...first, ...second].includes(null)) return [null, null, null];
  const [[value, low, high], [later, laterLow, laterHigh]] = [first, second] as number[][];
  const difference = later - value;
  return [difference, difference - Math.hypot(later - laterLow, high - value), difference + Math.hypot(laterHigh - later, value - low)];
}

// Above 0 where a change is for the worse, or of a distance.
function signedHarm(measure: Measure, change: number | null): number | null {
  return change === null ? null : measure.is_distance || measure.better === "lower" ? change : -change;
}

function ofEffect(group: string, measure: Measure, id: string, effect: (head: Head) => Effect): Draft {
  const size = (head: Head) => effect(head).change[0];
  return {
    id,
    group,
    label: measure.label,
    scale: measure.is_distance ? "amount" : "change",
    unit: unitOf(measure),
    value: (head) => signedHarm(measure, size(head)),
    text: (head) => cellText(measure, size(head)),
    words: (head) => `${measure.label} ${format.change(measure, size(head))}`,
  };
}

function unitOf(measure: Measure): string {
  return measure.is_relative ? `% of the unmasked ${measure.label}` : `difference${measure.unit ? `, ${measure.unit}` : ""}`;
}

function cellText(measure: Measure, value: number | null): string {
  if (value === null) return format.UNDEFINED;
  const text = measure.is_relative ? (100 * value).toFixed(1) : value.toFixed(2);
  return Number(text) ? text : "0";
}

function ofUnlabelled(model: Model): Draft[] {
  const { data } = model;
  if (!data.heads.some((head) => head.unlabelled.length)) return [];
  const labelFree = data.measures.filter((measure) => measure.is_distance);
  return labelFree.map((measure, place) =>
    ofEffect("on pairs without grades", measure, `unlabelled.${measure.name}`, (head) => head.unlabelled[place]),
  );
}

function kindsOfHeads(model: Model): Draft[] {
  const functions = model.data.functions;
  const drafts = [
    ofKind("verdict", "verdict", Object.entries(VERDICTS) as [string, string][], (head) => head.verdict),
    ofKind(
      "function",
      "function",
      functions.map((name) => [name, FUNCTION_NAMES[name][0]]),
      (head) => head.function,
    ),
  ];
  if (model.data.heads.some((head) => head.decision)) {
    const decisions = Object.entries(DECISIONS) as [string, string][];
    drafts.push(ofKind("decision", "pruning decision", decisions, (head) => head.decision?.decision ?? null));
  }
  return drafts;
}

function ofKind(id: string, label: string, kinds: [name: string, code: string][], kind: (head: Head) => string | null): Draft {
  const place = (head: Head) => kinds.findIndex(([name]) => name === kind(head));
  return {
    id,
    group: "other",
    label,
    scale: "kind",
    unit: "",
    value: (head) => (place(head) < 0 ? null : place(head)),
    text: (head) => kinds[place(head)]?.[1] ?? "",
    words: (head) => `${label} ${kind(head) ?? "none"}`,
    kinds: kinds.map(([name, code]) => [code, id === "function" ? FUNCTION_NAMES[name][1] : name]),
  };
}

function ofScore(name: string, place: number): Draft {
  const score = (head: Head) => head.scores[place].score;
  return {
    id: `score.${name}`,
    group: "attention after fine-tuning",
    label: `${name} score`,
    scale: "amount",
    unit: "% of attention",
    value: score,
    text: (head) => (score(head) === null ? format.UNDEFINED : (100 * (score(head) as number)).toFixed(0)),
    words: (head) => `${name} score ${format.share(score(head))}`,
  };
}

function ofShift(name: string, place: number): Draft {
  const shift = (head: Head) => head.scores[place].change[0];
  return {
    id: `change.${name}`,
    group: "change by fine-tuning",
    label: `${name} change`,
    scale: "change",
    unit: "points of attention",
    value: (head) => (shift(head) === null ? null : -(shift(head) as number)),
    text: (head) => (shift(head) === null ? format.UNDEFINED : format.signed(shift(head), 0, 100)),
    words: (head) => `${name} score changed by ${format.signed(shift(head), 1, 100)} points by fine-tuning`,
  };
}
