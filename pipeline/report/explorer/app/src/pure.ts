// Components drawn again only where a prop changes.

import { Component, h, type ComponentChild, type ComponentType } from "preact";

export function pure<Props extends object>(Drawn: ComponentType<Props>): ComponentType<Props> {
  return class Pure extends Component<Props> {
    shouldComponentUpdate(next: Props): boolean {
      return (Object.keys(next) as (keyof Props)[]).some((name) => next[name] !== (this.props as Props)[name]);
    }

    render(): ComponentChild {
      return h(Drawn, this.props as Props);
    }
  };
}
