DROP TABLE wakes;
