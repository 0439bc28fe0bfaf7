"""Where pairs come from: the generated default, a user's table, and the words inside a text."""
