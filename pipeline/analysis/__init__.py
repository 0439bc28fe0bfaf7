"""What the sweeps say: effects with intervals, random controls, subgroups, edges between heads, mediation."""
