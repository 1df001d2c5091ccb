DROP TABLE device_nodes;
