"""Analysis of sweeps: effects with intervals, random controls, subgroups, edges between heads, mediation."""
