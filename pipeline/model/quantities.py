"""The numbers that a row of [CLS]'s attention is reduced to, in order; `rows.Changes` says what each is."""

QUANTITIES = ("js", "match_mass", "other_mass", "sep_mass", "cls_mass", "entropy", "match_share")
MATCH_SHARE = QUANTITIES.index("match_share")
OF_TERMS = ("match_mass", "other_mass", "match_share")  # undefined in a pair without both kinds of term
