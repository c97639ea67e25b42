-- Slices whose window is over are removed by their end.
CREATE INDEX budget_slices_ended ON budget_slices (ends_at) WHERE ends_at IS NOT NULL;
