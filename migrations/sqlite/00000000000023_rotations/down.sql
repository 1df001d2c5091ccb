DROP TABLE secret_rotations;
