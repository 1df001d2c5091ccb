DROP INDEX deliverables_kind;
DROP TABLE deliverable_targets;
