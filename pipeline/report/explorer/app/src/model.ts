// The explorer's data with its arrays decoded, and what every view asks of it.

import type { Explorer, Group, Measure } from "./contract";
import { attentionOfLevels, unpack } from "./decode";

export interface LogitSteps {
  unmasked: Float32Array; // [group pair, output]
  changes: Int8Array; // [head, group pair, output], in steps
}

export interface Attention {
  before: Float32Array | null; // [layer * head, query, key]
  after: Float32Array;
}

export class Model {
  readonly heads: number;
  readonly #maps = new Map<number, Promise<Attention>>();

  constructor(
    readonly data: Explorer,
    readonly predicted: Uint8Array, // [1 + head, pair]
    readonly groupPredicted: Uint8Array, // [1 + group, group pair]
    readonly queryChanges: Int8Array, // [head, query], none of graders
    readonly groupQueryChanges: Int8Array, // [group, query]
    readonly logits: LogitSteps,
  ) {
    this.heads = data.run.layers * data.run.heads;
  }

  static async decode(data: Explorer): Promise<Model> {
    const { predictions, logit_changes: logits } = data;
    const [heads, groups, unmasked, changes] = await Promise.all(
      [predictions.heads, predictions.groups, logits.unmasked, logits.changes].map(unpack),
    );
    const [ofHeads, ofGroups] = await Promise.all(
      [predictions.query_changes, predictions.group_query_changes].map(async (packed) => new Int8Array(packed ? await unpack(packed) : [])),
    );
    return new Model(data, heads, groups, ofHeads, ofGroups, {
      unmasked: new Float32Array(unmasked.buffer),
      changes: new Int8Array(changes.buffer),
    });
  }

  get isRanker(): boolean {
    return this.data.run.kind === "ranker";
  }

  get headline(): Measure {
    return this.measure(this.data.run.headline);
  }

  get primary(): Measure {
    return this.measure(this.data.run.primary);
  }

  measure(name: string): Measure {
    return this.data.measures.find((measure) => measure.name === name) as Measure;
  }

  // What masking a measured group changes of the headline measure.
  changeOf(group: Group): (number | null)[] {
    return group.effects[this.data.measures.indexOf(this.headline)].change;
  }

  // "2.9" of a head's number, and back; null where the model has no such head.
  short(head: number): string {
    return `${Math.floor(head / this.data.run.heads)}.${head % this.data.run.heads}`;
  }

  numberOf(short: string): number | null {
    const [layer, head] = short.split(".").map(Number);
    const { layers, heads } = this.data.run;
    return layer >= 0 && layer < layers && head >= 0 && head < heads ? layer * heads + head : null;
  }

  // Predictions of every pair, unmasked (null) or with a head masked.
  predictions(head: number | null): Uint8Array {
    const pairs = this.data.run.pairs;
    const row = head === null ? 0 : 1 + head;
    return this.predicted.subarray(row * pairs, (row + 1) * pairs);
  }

  gradeText(grade: number): string {
    return this.data.run.grades[grade] ?? String(grade);
  }

  attention(map: number): Promise<Attention> {
    const known = this.#maps.get(map);
    if (known) return known;
    const made = this.#decodeAttention(map);
    this.#maps.set(map, made);
    return made;
  }

  async #decodeAttention(map: number): Promise<Attention> {
    const { before, after, tokens } = this.data.maps[map];
    const count = this.heads * tokens.length ** 2;
    const decode = async (packed: string) => attentionOfLevels(await unpack(packed), count);
    return { before: before === null ? null : await decode(before), after: await decode(after) };
  }
}
