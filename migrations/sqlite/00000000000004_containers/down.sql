DROP TABLE uploads;
DROP TABLE content_markers;
DROP TABLE content_references;
DROP TABLE contents;
DROP TABLE deliverables;
DROP TABLE container_manifests;
DROP TABLE containers;
