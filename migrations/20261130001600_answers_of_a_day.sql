-- As many as a large dealership has on its busiest day: nobody is left without an answer by a default.
ALTER TABLE answer_settings ALTER COLUMN daily_cap SET DEFAULT 5000;
