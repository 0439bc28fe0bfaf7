// What elements are made with: a call of `h` an element is shorter than one of the automatic runtime.

export { Fragment, h } from "preact";
