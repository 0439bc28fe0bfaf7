// All heads at once: a row a layer, coloured by a choice of measures; needed ones framed, inert ones hatched but for kinds.

import { useMemo, useRef } from "preact/hooks";
import type { Colouring } from "../colourings";
import { background, cellColour, onWhite } from "../colours";
import type { Head } from "../contract";
import type { Model } from "../model";
import { pure } from "../pure";
import { escapeXml, Exports } from "./Exports";
import { csv, plural } from "../format";
import { Note, Panel } from "./Parts";

interface Props {
  model: Model;
  colourings: Colouring[];
  by: string;
  selected: number;
  group: number[];
  onColour(id: string): void;
  onSelect(head: number): void;
  onGroup(head: number): void;
}

export function HeadGrid({ model, colourings, by, selected, group, onColour, onSelect, onGroup }: Props) {
  const grid = useRef<HTMLDivElement>(null);
  const { layers, heads } = model.data.run;
  const colouring = colourings.find((one) => one.id === by) ?? colourings[0];
  const actions = useRef({ onSelect, onGroup });
  actions.current = { onSelect, onGroup };
  const onClick = useMemo(
    () => (event: MouseEvent, head: number) =>
      event.shiftKey || event.ctrlKey || event.metaKey ? actions.current.onGroup(head) : actions.current.onSelect(head),
    [],
  );
  const onKeyDown = (event: KeyboardEvent) => {
    const target = moved(event.key, selected, layers, heads);
    if (target !== null) {
      event.preventDefault();
      onSelect(target);
      grid.current?.querySelector<HTMLElement>(`[data-head="${target}"]`)?.focus();
    } else if (event.key === "g" || event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (event.key === "g") onGroup(selected);
    }
  };
  return (
    <Panel id="grid" title={`${plural(layers, "layer")} of ${heads} heads`}>
      <label class="choice">
        Colour by <ColourChoice colourings={colourings} by={colouring.id} onColour={onColour} />
      </label>
      <div class="scroll-x">
        <div
          ref={grid}
          class={heads > 12 ? "grid many" : "grid"}
          role="grid"
          aria-label={`Attention heads, ${layers} layers by ${heads} heads, coloured by ${colouring.group}: ${colouring.label}`}
          style={{ gridTemplateColumns: `1.6rem repeat(${heads}, minmax(var(--cell-width), 1fr))` }}
          onKeyDown={onKeyDown}
        >
          {Array.from({ length: layers }, (_, layer) => (
            <div role="row" class="row" key={layer}>
              <span role="rowheader" class="axis" aria-label={`layer ${layer}`}>
                {layer}
              </span>
              {model.data.heads.slice(layer * heads, (layer + 1) * heads).map((head, place) => (
                <SteadyCell
                  key={place}
                  number={layer * heads + place}
                  head={head}
                  colouring={colouring}
                  selected={selected === layer * heads + place}
                  grouped={group.includes(layer * heads + place)}
                  onClick={onClick}
                />
              ))}
            </div>
          ))}
          <div role="row" class="row">
            <span role="columnheader" class="axis" aria-label="layer">
              ↑
            </span>
            {Array.from({ length: heads }, (_, head) => (
              <span role="columnheader" class="axis" aria-label={`head ${head}`} key={head}>
                {head}
              </span>
            ))}
          </div>
        </div>
      </div>
      <Legend colouring={colouring} heads={model.data.heads} />
      {colouring.scale === "difference" && (
        <div id="difference">
          <p>
            Head {model.short(selected)}: {colouring.words(model.data.heads[selected])}.
          </p>
          <Note>
            Its interval takes both estimates as independent, so it is rather too wide for runs on the same pairs. Another seed
            may move more.
          </Note>
        </div>
      )}
      <Exports
        files={[
          { name: "heads.svg", kind: "image/svg+xml", text: () => gridSvg(model, colouring) },
          { name: "heads.csv", kind: "text/csv", text: () => headsCsv(model) },
        ]}
      />
    </Panel>
  );
}

function moved(key: string, head: number, layers: number, heads: number): number | null {
  const [layer, column] = [Math.floor(head / heads), head % heads];
  const places: Record<string, [number, number]> = {
    ArrowLeft: [layer, column - 1],
    ArrowRight: [layer, column + 1],
    ArrowUp: [layer - 1, column],
    ArrowDown: [layer + 1, column],
    Home: [layer, 0],
    End: [layer, heads - 1],
    PageUp: [0, column],
    PageDown: [layers - 1, column],
  };
  if (!(key in places)) return null;
  const clamp = (value: number, count: number) => Math.min(count - 1, Math.max(0, value));
  const [row, place] = places[key];
  return clamp(row, layers) * heads + clamp(place, heads);
}

function ColourChoice({ colourings, by, onColour }: { colourings: Colouring[]; by: string; onColour(id: string): void }) {
  const groups = [...new Set(colourings.map((one) => one.group))];
  return (
    <select id="colour-by" value={by} onChange={(event) => onColour(event.currentTarget.value)}>
      {groups.map((group) => (
        <optgroup label={group} key={group}>
          {colourings
            .filter((one) => one.group === group)
            .map((one) => (
              <option value={one.id} key={one.id}>
                {one.label}
              </option>
            ))}
        </optgroup>
      ))}
    </select>
  );
}

interface CellProps {
  number: number;
  head: Head;
  colouring: Colouring;
  selected: boolean;
  grouped: boolean;
  onClick(event: MouseEvent, head: number): void;
}

function HeadCell({ number, head, colouring, selected, grouped, onClick }: CellProps) {
  const colour = cellColour(colouring, head);
  const marks = [head.verdict === "needed" && "needed", head.is_inert && colouring.scale !== "kind" && "inert", grouped && "grouped"].filter(Boolean);
  const state = `Shown: ${colouring.text(head)}. Verdict: ${head.verdict}${head.is_inert ? ", inert" : ""}${grouped ? ", in the group" : ""}.`;
  return (
    <div
      role="gridcell"
      class={["cell", ...marks].join(" ")}
      data-head={number}
      tabIndex={selected ? 0 : -1}
      aria-selected={selected}
      aria-label={`${head.sentence} ${colouring.words(head)}. ${state}`}
      title={`${head.layer}.${head.head}: ${colouring.words(head)}`}
      style={{ backgroundColor: background(colour), color: colour.text ?? "" }}
      onClick={(event) => onClick(event, number)}
    >
      {colouring.text(head)}
    </div>
  );
}

// A click changes two of up to 384 cells.
const SteadyCell = pure(HeadCell);

function Legend({ colouring, heads }: { colouring: Colouring; heads: Head[] }) {
  return (
    <Note>
      {colouring.scale === "change" && "Red: lost. Blue: gained. "}
      {colouring.scale === "difference" && "Red: masking it costs more in the second run. Blue: less. "}
      {colouring.scale === "amount" && "Purple: how much. "}
      {colouring.unit && `Numbers: ${colouring.unit}. `}
      {colouring.kinds.map(([code, name], place) => {
        const count = heads.filter((head) => colouring.value(head) === place).length;
        return count ? (
          <span class="kind" key={code}>
            <b>{code}</b> {name} ({count})
          </span>
        ) : null;
      })}
      {colouring.id === "function" && "Only a head's first function counts here, every one in the report. "}
      Framed: needed. {colouring.scale !== "kind" && heads.some((head) => head.is_inert) && "Hatched: inert. "}Orange ring: in your group. Click: look.{" "}
      <span class="keys">Shift+click or g: add to the group; arrow keys: move.</span>
    </Note>
  );
}

function gridSvg(model: Model, colouring: Colouring): string {
  const { layers, heads } = model.data.run;
  const [width, height] = [44, 28];
  const cells = model.data.heads.map((head) => {
    const colour = cellColour(colouring, head);
    const [x, y] = [30 + head.head * width, 30 + head.layer * height];
    const frame = head.verdict === "needed" ? ' stroke="#000" stroke-width="2"' : "";
    return (
      `<rect x="${x}" y="${y}" width="${width - 3}" height="${height - 3}" fill="${onWhite(colour)}"${frame}/>` +
      `<text x="${x + width / 2 - 1}" y="${y + 17}" text-anchor="middle" fill="${colour.text === "#fff" ? "#fff" : "#000"}">${escapeXml(colouring.text(head))}</text>`
    );
  });
  const axis = [
    ...Array.from({ length: layers }, (_, layer) => `<text x="20" y="${47 + layer * height}" text-anchor="end">${layer}</text>`),
    ...Array.from({ length: heads }, (_, head) => `<text x="${51 + head * width}" y="${46 + layers * height}" text-anchor="middle">${head}</text>`),
  ];
  const size = `width="${40 + heads * width}" height="${60 + layers * height}"`;
  const title = `<text x="30" y="18" font-weight="bold">${escapeXml(`${colouring.group}: ${colouring.label}`)}</text>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="11">${title}${cells.join("")}${axis.join("")}</svg>\n`;
}

function headsCsv(model: Model): string {
  const { measures, heads } = model.data;
  const columns = measures.flatMap((measure) => [measure.name, `${measure.name}_low`, `${measure.name}_high`]);
  const rows = heads.map((head) => [
    head.layer,
    head.head,
    head.verdict,
    String(head.is_inert),
    head.function,
    head.decision?.decision ?? null,
    ...head.effects.flatMap((effect) => effect.change),
  ]);
  return csv([["layer", "head", "verdict", "is_inert", "function", "decision", ...columns], ...rows]);
}
