DROP INDEX containers_state;
DROP INDEX deliverables_kind_state;
DROP INDEX deliverables_state;
ALTER TABLE deliverables DROP COLUMN state;
