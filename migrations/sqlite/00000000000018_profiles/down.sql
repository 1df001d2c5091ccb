ALTER TABLE devices DROP COLUMN traits_observed;
ALTER TABLE devices DROP COLUMN traits_set;
