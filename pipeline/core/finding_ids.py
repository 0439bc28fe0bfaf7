"""The article's findings by id, in its order: in findings.json, the report, and MLflow's tags and view.

`pipeline.findings.article` says what each claims. The ids stand here since tracking knows nothing of findings.
"""

FINDING_IDS = ("R0", "R1", "R2", "F1", "F2", "F3", "T1", "S1", "S2", "D1", "D1-direction")
