// Effect of masking a group: measured where the run did, else the sum of its heads' own changes of the logits.

import type { Group } from "./contract";
import type { Model } from "./model";

const RANDOM = ["random_share", "random_k", "layer_matched"];

export interface EstimateError {
  kind: "random" | "chosen";
  sizes: number[]; // heads of the measured groups of about the size, rising
  half: number; // half of the estimates are off by no more
  most: number; // nine in ten are off by no more; all of ten or fewer
}

export class GroupEstimates {
  readonly unmasked: number; // headline measure
  readonly #model: Model;
  readonly #known = new Map<Group, number>();

  constructor(model: Model) {
    this.#model = model;
    this.unmasked = this.#value(this.#outputs([]));
  }

  measured(heads: number[]): Group | null {
    const key = heads.join();
    return this.#model.data.groups.find((group) => group.heads.join() === key) ?? null;
  }

  // Headline measure, masked.
  masked(heads: number[]): number {
    return this.#value(this.#outputs(heads));
  }

  // Relative change of it.
  change(heads: number[]): number {
    return this.masked(heads) / this.unmasked - 1;
  }

  // Of rankers, what nDCG@10 of a group pair's query changes by.
  fates(heads: number[]): (place: number) => number {
    const { pairs, predictions } = this.#model.data;
    const [before, after] = [[], heads].map((masked) => (this.#model.isRanker ? this.#gains(this.#outputs(masked)) : null));
    return (place) => {
      const query = pairs.query[predictions.group_pairs[place]];
      return (after?.get(query) ?? 0) - (before?.get(query) ?? 0);
    };
  }

  // How far such estimates are off on the measured groups of about as many heads, random and chosen ones apart.
  errors(size: number): EstimateError[] {
    const near = this.#model.data.groups.filter(
      (group) => this.#model.changeOf(group)[0] !== null && Math.abs(group.heads.length - size) <= Math.max(1, 0.3 * size),
    );
    return (["random", "chosen"] as const).flatMap((kind) => {
      const groups = near.filter((group) => RANDOM.includes(group.type) === (kind === "random"));
      const errors = groups.map((group) => this.#errorOf(group)).sort((a, b) => a - b);
      const sizes = groups.map((group) => group.heads.length).sort((a, b) => a - b);
      const within = (share: number) => errors[Math.ceil(share * errors.length) - 1];
      return errors.length ? [{ kind, sizes, half: within(0.5), most: within(errors.length > 10 ? 0.9 : 1) }] : [];
    });
  }

  // The measured group that shares most heads, of both together; null where none shares half.
  nearest(heads: number[]): Group | null {
    let [best, most] = [null as Group | null, 0.5];
    for (const group of this.#model.data.groups) {
      const common = commonHeads(group.heads, heads);
      const share = common / (group.heads.length + heads.length - common);
      if (share > most && this.#model.changeOf(group)[0] !== null) [best, most] = [group, share];
    }
    return best;
  }

  #errorOf(group: Group): number {
    let error = this.#known.get(group);
    if (error === undefined) {
      error = Math.abs(this.change(group.heads) - (this.#model.changeOf(group)[0] as number));
      this.#known.set(group, error);
    }
    return error;
  }

  // Estimated predictions of the group pairs: grades, or ranks in the query.
  predictions(heads: number[]): Uint8Array {
    const outputs = this.#outputs(heads);
    return this.#model.isRanker ? this.#ranks(outputs) : this.#grades(outputs);
  }

  #outputs(heads: number[]): Float64Array {
    const { unmasked, changes } = this.#model.logits;
    const sums = Float64Array.from(unmasked);
    for (const head of heads) {
      const step = this.#model.data.logit_changes.steps[head];
      const start = head * sums.length;
      for (let place = 0; place < sums.length; place++) sums[place] += step * changes[start + place];
    }
    return sums;
  }

  #grades(outputs: Float64Array): Uint8Array {
    const count = this.#model.data.logit_changes.outputs;
    const grades = new Uint8Array(outputs.length / count);
    for (let pair = 0; pair < grades.length; pair++) {
      let best = 0;
      for (let grade = 1; grade < count; grade++) {
        if (outputs[pair * count + grade] > outputs[pair * count + best]) best = grade;
      }
      grades[pair] = best;
    }
    return grades;
  }

  #ranks(scores: Float64Array): Uint8Array {
    const ranks = new Uint8Array(scores.length);
    for (const titles of this.#titlesByQuery().values()) {
      const order = [...titles].sort((a, b) => scores[b] - scores[a] || a - b);
      order.forEach((title, place) => (ranks[title] = Math.min(255, place + 1)));
    }
    return ranks;
  }

  #value(outputs: Float64Array): number {
    return this.#model.isRanker ? mean([...this.#gains(outputs).values()]) : this.#accuracy(this.#grades(outputs));
  }

  #accuracy(grades: Uint8Array): number {
    const { pairs, predictions } = this.#model.data;
    let right = 0;
    predictions.group_pairs.forEach((pair, place) => (right += Number(grades[place] === pairs.gold[pair])));
    return right / grades.length;
  }

  // nDCG@10 of the queries in which some title is better than another of grade 0.
  #gains(outputs: Float64Array): Map<number, number> {
    const { pairs, predictions } = this.#model.data;
    const ranks = this.#ranks(outputs);
    const gains = new Map<number, number>();
    for (const [query, titles] of this.#titlesByQuery()) {
      const gain = titles.map((title) => 2 ** pairs.gold[predictions.group_pairs[title]] - 1);
      const ideal = discounted([...gain].sort((a, b) => b - a));
      if (titles.length < 2 || ideal === 0) continue;
      const ranked: number[] = [];
      titles.forEach((title, place) => (ranked[ranks[title] - 1] = gain[place]));
      gains.set(query, discounted(ranked) / ideal);
    }
    return gains;
  }

  #titlesByQuery(): Map<number, number[]> {
    const { pairs, predictions } = this.#model.data;
    const titles = new Map<number, number[]>();
    predictions.group_pairs.forEach((pair, place) => {
      const query = pairs.query[pair];
      titles.set(query, [...(titles.get(query) ?? []), place]);
    });
    return titles;
  }
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function discounted(gains: number[]): number {
  return gains.slice(0, 10).reduce((sum, gain, place) => sum + gain / Math.log2(place + 2), 0);
}

export function commonHeads(one: number[], other: number[]): number {
  const heads = new Set(one);
  return other.filter((head) => heads.has(head)).length;
}
