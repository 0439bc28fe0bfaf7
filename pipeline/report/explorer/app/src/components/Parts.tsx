// Parts that several views are made of: panels, lists to choose from, heads of tables, links, bars.

import type { ComponentChild, ComponentChildren } from "preact";
import type { Measure } from "../contract";
import { change, interval } from "../format";

// Of a model that is not shown to beat the constant one.
export const NOTHING_TO_LOSE = "Unmasked, this model is not shown to be better than one that knows nothing of the pair.";

interface PanelProps {
  id: string;
  title: ComponentChild;
  class?: string;
  children: ComponentChildren;
}

export function Panel({ id, title, class: name, children }: PanelProps) {
  return (
    <section class={name} aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>{title}</h2>
      {children}
    </section>
  );
}

export function Note({ children, ...rest }: { role?: "status"; children: ComponentChildren }) {
  return (
    <p class="note" {...rest}>
      {children}
    </p>
  );
}

// Column heads of a table.
export function Columns({ names }: { names: string[] }) {
  return (
    <thead>
      <tr>
        {names.map((name, place) => (
          <th scope="col" key={place}>
            {name}
          </th>
        ))}
      </tr>
    </thead>
  );
}

interface ChoicesProps<Choice> {
  legend: string;
  name: string;
  choices: (readonly [Choice, ComponentChild])[];
  chosen: Choice;
  onChoose(chosen: Choice): void;
}

// One of a few, side by side.
export function Choices<Choice extends string | number>({ legend, name, choices, chosen, onChoose }: ChoicesProps<Choice>) {
  return (
    <fieldset class="segments">
      <legend>{legend}</legend>
      {choices.map(([choice, label]) => (
        <label key={choice}>
          <input type="radio" name={name} checked={chosen === choice} onChange={() => onChoose(choice)} />
          <span dir="auto">{label}</span>
        </label>
      ))}
    </fieldset>
  );
}

interface LinkProps {
  title?: string;
  "aria-label"?: string;
  onClick(): void;
  children: ComponentChildren;
}

export function Link(props: LinkProps) {
  return <button type="button" class="link" {...props} />;
}

// A part of the page that scrolls by itself, by keyboard too.
export function Scroll({ label, class: name = "scroll tall", children }: { label: string; class?: string; children: ComponentChildren }) {
  return (
    <div class={name} tabIndex={0} role="region" aria-label={label}>
      {children}
    </div>
  );
}

// A change and its interval.
export function Change({ measure, estimate }: { measure: Measure; estimate: (number | null)[] }) {
  return (
    <>
      {change(measure, estimate[0])} <span class="note">({interval(measure, estimate)})</span>
    </>
  );
}

// Cell of a number.
export function Cell({ class: kind = "", children }: { class?: string; children: ComponentChildren }) {
  return <td class={`number ${kind}`}>{children}</td>;
}

// A drawing 100 wide and 10 high, stretched over its cell.
export function Bar({ children }: { children: ComponentChildren }) {
  return (
    <td class="bar">
      <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
        {children}
      </svg>
    </td>
  );
}
