-- What devices do otherwise than the standard says: as an operator set it, and as it was observed.

ALTER TABLE devices ADD COLUMN traits_set TEXT;
ALTER TABLE devices ADD COLUMN traits_observed TEXT;
