-- What was refused, and where it stands.
CREATE OR REPLACE TABLE validation_errors AS
SELECT stream, file, line, errors->>'$[0].pointer' AS "column", errors->>'$[0].code' AS rule, errors->>'$[0].detail' AS expected, raw
FROM quarantine
ORDER BY stream, file, line;
