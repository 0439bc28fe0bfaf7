// Attention of the selected head on a pair: lines between query and title in both directions, and the whole matrix.

import { useEffect, useRef, useState } from "preact/hooks";
import { PHASES, type Phase, type View } from "../address";
import { LOST, GAINED, AMOUNT } from "../colours";
import type { AttentionMap } from "../contract";
import { share, visible } from "../format";
import type { Attention, Model } from "../model";
import { pure } from "../pure";
import { Exports } from "./Exports";
import { Choices, Note, Panel } from "./Parts";

const LEAST_LINE = 0.03;
const LEAST_CELL = 0.005;
const TITLE_AT_QUERY = "#b35900";

interface Props {
  model: Model;
  view: View;
  onView(part: Partial<View>): void;
}

export function PairView({ model, view, onView }: Props) {
  const { maps, pairs } = model.data;
  const map = maps[view.map];
  const weights = useWeights(model, view);
  const lines = useRef<HTMLDivElement>(null);
  const matrix = useRef<HTMLDivElement>(null);
  if (!map) return <NoMaps model={model} />;
  const predicted = (head: number | null) => model.predictions(head)[map.pair];
  const hasBefore = map.before !== null;
  return (
    <Panel id="pair" title={`What head ${model.short(view.head)} looks at in a pair`}>
      <label class="choice wide">
        Pair{" "}
        <SteadyChoice model={model} map={view.map} onView={onView} />
      </label>
      <p id="pair-grades">
        Gold {model.gradeText(pairs.gold[map.pair])}; {model.isRanker ? "rank" : "predicted"}{" "}
        {outcome(model, predicted(null))}, and {outcome(model, predicted(view.head))} without head {model.short(view.head)}.
        {map.length > map.tokens.length && ` The first ${map.tokens.length} of ${map.length} tokens are shown.`}
      </p>
      <div class="filters">
        <Choices
          legend="Attention"
          name="phase"
          choices={PHASES.filter(([phase]) => hasBefore || phase === "after")}
          chosen={view.phase}
          onChoose={(phase) => onView({ phase })}
        />
        <label>
          <input id="special" type="checkbox" checked={view.special} onChange={(event) => onView({ special: event.currentTarget.checked })} />{" "}
          [CLS] and [SEP]
        </label>
      </div>
      {weights && (
        <div class="maps">
          <div ref={lines} class="scroll-x" tabIndex={0} role="region" aria-label="Lines">
            <Lines map={map} weights={weights} special={view.special} />
          </div>
          <div ref={matrix} class="scroll-x" tabIndex={0} role="region" aria-label="Matrix">
            <Matrix map={map} weights={weights} special={view.special} phase={view.phase} />
          </div>
        </div>
      )}
      <Note>
        Lines: <span class="solid">━</span> query looks at title, <span class="dashed">┅</span> title looks at query; from{" "}
        {share(LEAST_LINE)} on. Matrix: each row is where a token looks, strokes divide query and title. Attention is kept in
        16 steps.
        {model.data.maps_left_out > 0 &&
          ` ${model.data.maps_left_out} of ${maps.length + model.data.maps_left_out} chosen pairs were left out to keep this file within ${model.data.mib} MiB (report.explorer_mib).`}
      </Note>
      <Exports
        files={[
          { name: "lines.svg", kind: "image/svg+xml", text: () => svgText(lines.current) },
          { name: "matrix.svg", kind: "image/svg+xml", text: () => svgText(matrix.current) },
        ]}
      />
    </Panel>
  );
}

interface ChoiceProps {
  model: Model;
  map: number;
  onView(part: Partial<View>): void;
}

function PairChoice({ model, map, onView }: ChoiceProps) {
  const { maps, pairs } = model.data;
  return (
    <select id="pair" value={map} onChange={(event) => onView({ map: Number(event.currentTarget.value) })}>
      {maps.map((one, place) => (
        <option value={place} key={place}>
          {visible(`${pairs.queries[pairs.query[one.pair]]} / ${pairs.titles[one.pair]}`)}
        </option>
      ))}
    </select>
  );
}

const SteadyChoice = pure(PairChoice);

function NoMaps({ model }: { model: Model }) {
  return (
    <Panel id="pair" title="What a head looks at in a pair">
      <p>
        No attention maps are in this file
        {model.data.maps_left_out > 0 && `: ${model.data.maps_left_out} did not fit into ${model.data.mib} MiB (report.explorer_mib)`}.
      </p>
    </Panel>
  );
}

function outcome(model: Model, predicted: number): string {
  return model.isRanker ? String(predicted) : model.gradeText(predicted);
}

// The shown weights of the selected head, [query, key]; null until they are decoded.
function useWeights(model: Model, view: View): Float32Array | null {
  const [attention, setAttention] = useState<[AttentionMap, Attention] | null>(null);
  const map = model.data.maps[view.map];
  useEffect(() => {
    let wanted = true;
    if (map) model.attention(view.map).then((decoded) => wanted && setAttention([map, decoded]));
    return () => {
      wanted = false;
    };
  }, [map]);
  if (!attention || attention[0] !== map) return null;
  const { before, after } = attention[1];
  const size = map.tokens.length ** 2;
  const [start, end] = [view.head * size, (view.head + 1) * size];
  const now = after.subarray(start, end);
  if (!before || view.phase === "after") return now;
  const then = before.subarray(start, end);
  if (view.phase === "before") return then;
  const sign = view.phase === "grew" ? 1 : -1;
  return now.map((weight, place) => Math.max(0, sign * (weight - then[place])));
}

interface MapProps {
  map: AttentionMap;
  weights: Float32Array;
  special: boolean;
}

// Positions of the query's and the title's tokens; special ones go with the text they open or end.
function sides(map: AttentionMap, special: boolean): [number[], number[]] {
  const boundary = map.segment.indexOf(1);
  const places = map.tokens.map((_, place) => place).filter((place) => special || map.segment[place] >= 0);
  const first = boundary < 0 ? map.tokens.length : boundary;
  return [places.filter((place) => place < first), places.filter((place) => place >= first)];
}

function Lines({ map, weights, special }: MapProps) {
  const [query, title] = sides(map, special);
  const [left, right, step] = [130, 320, 20];
  const height = Math.max(query.length, title.length) * step + 24;
  const width = 450;
  const y = (place: number) => place * step + 34;
  const weight = (from: number, to: number) => weights[from * map.tokens.length + to];
  const pairs = query.flatMap((from, i) => title.map((to, j) => ({ from, to, i, j })));
  return (
    <svg
      class="lines"
      role="img"
      aria-label={`Attention between ${query.length} query tokens and ${title.length} title tokens`}
      viewBox={`0 0 ${width} ${height}`}
      width={width}
      height={height}
    >
      <text class="heading" x={left - 6} y={14} text-anchor="end">
        query
      </text>
      <text class="heading" x={right + 6} y={14}>
        title
      </text>
      {pairs.map(({ from, to, i, j }) => [
        weight(from, to) >= LEAST_LINE && (
          <Line key="a" colour={AMOUNT} weight={weight(from, to)} ends={[left, y(i) - 6, right, y(j) - 6]} words={`${map.tokens[from]} → ${map.tokens[to]}`} />
        ),
        weight(to, from) >= LEAST_LINE && (
          <Line key="b" colour={TITLE_AT_QUERY} dashed weight={weight(to, from)} ends={[left, y(i) - 2, right, y(j) - 2]} words={`${map.tokens[to]} → ${map.tokens[from]}`} />
        ),
      ])}
      {query.map((place, i) => (
        <text key={`q${place}`} x={left - 6} y={y(i)} text-anchor="end">
          {visible(map.tokens[place])}
        </text>
      ))}
      {title.map((place, j) => (
        <text key={`t${place}`} x={right + 6} y={y(j)}>
          {visible(map.tokens[place])}
        </text>
      ))}
    </svg>
  );
}

interface LineProps {
  colour: string;
  dashed?: boolean;
  weight: number;
  ends: [number, number, number, number];
  words: string;
}

function Line({ colour, dashed = false, weight, ends: [x1, y1, x2, y2], words }: LineProps) {
  return (
    <line
      {...{ x1, y1, x2, y2 }}
      class={dashed ? "title-at-query" : "query-at-title"}
      stroke={colour}
      stroke-width={0.8 + 5 * weight}
      stroke-opacity={0.25 + 0.75 * weight}
      stroke-dasharray={dashed ? "5 3" : undefined}
    >
      <title>{`${visible(words)}: ${share(weight)}`}</title>
    </line>
  );
}

function Matrix({ map, weights, special, phase }: MapProps & { phase: Phase }) {
  const places = sides(map, special).flat();
  const longest = Math.max(...places.map((place) => widthOf(cut(map.tokens[place]))));
  const [label, cell] = [10 + 6.7 * longest, 16];
  const size = label + places.length * cell + 4;
  const colour = phase === "grew" ? GAINED : phase === "shrank" ? LOST : AMOUNT;
  const boundary = label + cell * places.filter((place) => place < map.segment.indexOf(1)).length;
  return (
    <svg class="matrix" role="img" aria-label={`Attention of ${places.length} tokens to each other`} viewBox={`0 0 ${size} ${size}`} width={size} height={size}>
      {places.map((place, i) => (
        <g key={place}>
          <text x={label - 4} y={label + i * cell + 12} text-anchor="end">
            {cut(map.tokens[place])}
          </text>
          <text transform={`translate(${label + i * cell + 12} ${label - 4}) rotate(-90)`}>{cut(map.tokens[place])}</text>
        </g>
      ))}
      {places.map((from, i) =>
        places.map((to, j) => {
          const weight = weights[from * map.tokens.length + to];
          return weight < LEAST_CELL ? null : (
            <rect
              key={`${from}.${to}`}
              x={label + j * cell}
              y={label + i * cell}
              width={cell - 1}
              height={cell - 1}
              fill={colour}
              fill-opacity={Math.sqrt(weight).toFixed(2)}
            >
              <title>{`${visible(`${map.tokens[from]} → ${map.tokens[to]}`)}: ${share(weight)}`}</title>
            </rect>
          );
        }),
      )}
      <path class="boundary" d={`M${label} ${boundary - 0.5}H${size - 4}M${boundary - 0.5} ${label}V${size - 4}`} />
      <rect class="outline" x={label - 0.5} y={label - 0.5} width={places.length * cell} height={places.length * cell} />
    </svg>
  );
}

// In widths of a Latin letter, of which a CJK character has two.
function widthOf(text: string): number {
  return [...text].reduce((sum, character) => sum + (character > "\u2e80" ? 2 : 1), 0);
}

function cut(token: string): string {
  const characters = [...visible(token)];
  return characters.length > 11 ? `${characters.slice(0, 10).join("")}…` : characters.join("");
}

function svgText(holder: HTMLElement | null): string {
  const drawn = holder?.querySelector("svg")?.cloneNode(true) as SVGElement;
  const set = (element: Element, attributes: Record<string, string>) =>
    Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  set(drawn, { xmlns: "http://www.w3.org/2000/svg", "font-family": "sans-serif", "font-size": "12" });
  drawn.querySelectorAll(".boundary, .outline").forEach((one) => set(one, { fill: "none", stroke: "#777" }));
  return `${new XMLSerializer().serializeToString(drawn)}\n`;
}
