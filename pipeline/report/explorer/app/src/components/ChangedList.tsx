// What changes between two states: its tally, a search, and those found, a page at a time.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { FILTERS, type View } from "../address";
import { pairsCsv, type Breaking, type Row } from "../breaking";
import { plural } from "../format";
import type { Model } from "../model";
import { Exports } from "./Exports";
import { EXAMPLE, Filters } from "./Filters";
import { Link, Note, Scroll } from "./Parts";

export interface ChangedProps {
  model: Model;
  broken: Breaking;
  shown: View["shown"];
  search: string;
  map: number;
  onShown(shown: View["shown"]): void;
  onSearch(search: string): void;
  onMap(map: number): void;
}

interface Props<Found> extends ChangedProps {
  thing: string;
  plural: string;
  what: string; // that is searched
  page: number; // as many are listed at first
  found: Found[];
  rows(found: Found[]): Row[];
  listed(found: Found[]): ComponentChildren;
  children: ComponentChildren; // the tally, after its lead
}

export function ChangedList<Found>(props: Props<Found>) {
  const { model, broken, found, page, thing, plural: things } = props;
  const [length, setLength] = useState(page);
  const { id, lead } = broken;
  const more = found.length - length;
  return (
    <div>
      <p id={`${id}tally`}>
        {lead}: {props.children}
      </p>
      <Filters id={id} what={props.what} example={EXAMPLE} search={props.search} choices={FILTERS} chosen={props.shown} onSearch={props.onSearch} onChoose={props.onShown} />
      <Note role="status">
        {plural(found.length, thing, things)}
        {more > 0 && `, the first ${length} listed`}. ◆ its attention can be looked at.
      </Note>
      <Scroll label={`${things}: ${lead}`}>{props.listed(found.slice(0, length))}</Scroll>
      {more > 0 && (
        <button type="button" onClick={() => setLength(length + page)}>
          list {Math.min(page, more)} of {more} more
        </button>
      )}
      <Exports files={[{ name: `${id}${things}.csv`, kind: "text/csv", text: () => pairsCsv(model, props.rows(found)) }]} />
    </div>
  );
}

// A title, with a link to its attention where there is a map.
export function Title({ text, map, onMap }: { text: string; map: number; onMap(map: number): void }) {
  return <td dir="auto">{map < 0 ? text : <Link onClick={() => onMap(map)}>◆ {text}</Link>}</td>;
}
